// What the browser's tests share: a browser, a visitor whose requests and complaints are noted, and a judge of pages.
//
// Takes CONSOLE_URL, TAKEDOWN_BROWSER or CHROMIUM (the browser's program), NODE_PATH (its packages), SCREENSHOTS (a folder
// for every page, if any) and TAKEDOWN_PICTURES (a folder for the pictures of the docs, if any).
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
const everyPage = process.env.SCREENSHOTS;
const pictures = process.env.TAKEDOWN_PICTURES;
for (const folder of [everyPage, pictures]) if (folder) mkdirSync(folder, { recursive: true });

// Everything that somebody complained of: requests to anybody else, scripts that failed, answers without their policy.
export const faults = [];

export const launch = () => chromium.launch({
  executablePath: process.env.TAKEDOWN_BROWSER || process.env.CHROMIUM || '/usr/bin/chromium-headless-shell',
  args: ['--no-sandbox'],
});

// A context that notes every request to anybody else and everything that the policy or a script complains of.
export async function visitor(browser, options = {}) {
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
    // A refused form is shown by a page with its own status, which the browser's log calls an error.
    if (message.type() === 'error' && !/status of 4\d\d/.test(message.text())) faults.push(message.text());
  });
  context.on('weberror', (error) => faults.push(String(error.error())));
  const page = await context.newPage();
  return { context, page };
}

// Nothing that axe finds, and nothing wider than its window.
export async function judged(page, name) {
  const { violations } = await new AxeBuilder({ page })
    .withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'])
    .analyze();
  const found = violations.map((v) => `${name}: ${v.id}: ${v.help}: ${v.nodes.map((n) => n.html).join(' | ')}`);
  assert.deepEqual(found, []);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.ok(wide <= 0, `${name} is ${wide} px wider than its window`);
  if (everyPage) await page.screenshot({ path: join(everyPage, `${name}.png`), fullPage: true });
}

// A picture for the docs: the window from its top, or until where `end` ends, without what is empty below.
export async function pictured(page, name, end) {
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
export const focused = (page, what) => page.evaluate((what) => document.activeElement?.[what] ?? '', what);

// Signs in by keyboard, from a page that asks for it.
export async function signIn(page, name, password) {
  await page.waitForURL(/\/sign-in/);
  // It is ready to be typed into.
  await page.locator('#name:focus').waitFor();
  await page.keyboard.type(name);
  await page.keyboard.press('Tab');
  await page.keyboard.type(password);
  await page.keyboard.press('Enter');
  await page.waitForURL((url) => !url.pathname.startsWith('/sign-in'));
}

// Does by keyboard what leads to another page, and waits until that one is there.
export async function turn(page, keys) {
  const arrived = page.waitForEvent('load');
  for (const key of [keys].flat()) await page.keyboard.press(key);
  await arrived;
}

// Presses a key that leads to another page, and waits until that one is there.
export async function go(page, key, path) {
  await turn(page, key);
  assert.equal(new URL(page.url()).pathname, path);
}
