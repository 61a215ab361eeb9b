// What the browser tests of the console share: a browser, visitors whose requests and errors are recorded, checks of pages,
// and pictures for the documentation.
//
// Reads CONSOLE_URL, TAKEDOWN_BROWSER or CHROMIUM (the browser's program), NODE_PATH (its packages), SCREENSHOTS (a folder
// for every page, optional) and TAKEDOWN_PICTURES (a folder for the pictures of the documentation, optional).
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const require = createRequire(import.meta.url);
const { chromium } = require('playwright-core');
const { AxeBuilder } = require('@axe-core/playwright');

export const env = (name) => {
  assert.ok(process.env[name], `${name} is not set`);
  return process.env[name];
};
export const base = env('CONSOLE_URL').replace(/\/$/, '');
const screenshots = process.env.SCREENSHOTS;
const pictures = process.env.TAKEDOWN_PICTURES;
for (const folder of [screenshots, pictures]) if (folder) mkdirSync(folder, { recursive: true });

// Requests to other sites, script errors, and responses without their content security policy.
export const faults = [];

export const launch = () => chromium.launch({
  executablePath: process.env.TAKEDOWN_BROWSER || process.env.CHROMIUM || '/usr/bin/chromium-headless-shell',
  args: ['--no-sandbox'],
});

// A browser context that records faults, and its page.
export async function openVisitor(browser, options = {}) {
  const context = await browser.newContext(options);
  context.setDefaultTimeout(15_000);
  context.on('request', (request) => {
    if (new URL(request.url()).origin !== new URL(base).origin) faults.push(`fetched ${new URL(request.url()).origin}`);
  });
  context.on('response', (response) => {
    const policy = response.headers()['content-security-policy'] ?? '';
    const strict = ["default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"];
    if (!strict.every((part) => policy.includes(part)) || policy.includes('unsafe')) faults.push(`${new URL(response.url()).pathname} has the policy: ${policy}`);
  });
  context.on('console', (message) => {
    // A refused form has a status of its own, which the browser logs as an error.
    if (message.type() === 'error' && !/status of 4\d\d/.test(message.text())) faults.push(message.text());
  });
  context.on('weberror', (error) => faults.push(String(error.error())));
  const page = await context.newPage();
  return { context, page };
}

// Fails if axe finds anything, or if the page scrolls sideways.
export async function assertAccessible(page, name) {
  const { violations } = await new AxeBuilder({ page })
    .withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'])
    .analyze();
  const found = violations.map((v) => `${name}: ${v.id}: ${v.help}: ${v.nodes.map((n) => n.html).join(' | ')}`);
  assert.deepEqual(found, []);
  await assertFits(page, name);
  if (screenshots) await page.screenshot({ path: join(screenshots, `${name}.png`), fullPage: true });
}

// Fails if the page scrolls sideways (WCAG 1.4.10). Names the widest elements.
export async function assertFits(page, name) {
  const { excess, widest } = await page.evaluate(() => {
    const limit = document.documentElement.clientWidth;
    const isInside = (element) => Boolean(element.closest('.scroll'));
    const wide = [...document.body.querySelectorAll('*')].filter((element) => !isInside(element) && element.getBoundingClientRect().right > limit + 1);
    return {
      excess: document.documentElement.scrollWidth - limit,
      widest: wide.slice(0, 5).map((element) => `${element.tagName}.${element.className}`),
    };
  });
  assert.ok(excess <= 0, `${name} is ${excess} px wider than its window: ${widest.join(', ')}`);
}

// A picture for the documentation: the window from its top, or down to the end of the element `end`, without the empty
// part below.
export async function takePicture(page, name, end) {
  if (!pictures) return;
  const height = await page.evaluate((end) => {
    scrollTo(0, 0);
    if (!end) return Math.min(innerHeight, document.querySelector('main').lastElementChild.getBoundingClientRect().bottom + 24);
    const element = document.querySelector(end);
    const bottom = element.getBoundingClientRect().bottom + 16;
    scrollBy(0, Math.max(0, bottom - innerHeight));
    return Math.min(innerHeight, bottom);
  }, end);
  const { width } = page.viewportSize();
  await page.screenshot({ path: join(pictures, `${name}.png`), clip: { x: 0, y: 0, width, height: Math.ceil(height) } });
}

export const heading = (page) => page.locator('h1').first().innerText();
export const focusedProperty = (page, property) => page.evaluate((property) => document.activeElement?.[property] ?? '', property);
export const isFocused = (page, selector) => page.locator(`${selector}:focus`).waitFor();

// Signs in by keyboard, on the sign-in page.
export async function signIn(page, name, password) {
  await page.waitForURL(/\/sign-in/);
  await isFocused(page, '#name');
  await page.keyboard.type(name);
  await page.keyboard.press('Tab');
  await page.keyboard.type(password);
  await page.keyboard.press('Enter');
  await page.waitForURL((url) => !url.pathname.startsWith('/sign-in'));
}

// Waits until the page accepts single keys: it ignores them while it is new.
export const waitForKeys = (page) => page.locator('html[data-keys=ready]').waitFor({ state: 'attached' });

export async function press(page, key) {
  await waitForKeys(page);
  await page.keyboard.press(key);
}

// Presses keys of which the last leads to another page, and waits until that page is loaded.
export async function pressAndLoad(page, keys) {
  await waitForKeys(page);
  const loaded = page.waitForEvent('load');
  for (const key of [keys].flat()) await page.keyboard.press(key);
  await loaded;
}

// Presses a key that leads to the page at this path.
export async function goTo(page, key, path) {
  await pressAndLoad(page, key);
  assert.equal(new URL(page.url()).pathname, path);
}
