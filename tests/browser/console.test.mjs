// The console in a real browser: every page by keyboard, a case decided by keyboard, nothing that axe finds, nothing
// fetched from anybody else, and the same work without scripts.
//
// Takes CONSOLE_URL, CONSOLE_USER and CONSOLE_PASSWORD (an analyst and supervisor; at least three undecided cases wait in the
// queue), CONSOLE_CASE (the id of a case with a notice that is overdue),
// TAKEDOWN_BROWSER or CHROMIUM (the browser's program), NODE_PATH (its packages), SCREENSHOTS (a folder, if any).
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

const require = createRequire(import.meta.url);
const { chromium } = require('playwright-core');
const { AxeBuilder } = require('@axe-core/playwright');

const env = (name) => {
  assert.ok(process.env[name], `${name} is not set`);
  return process.env[name];
};
const base = env('CONSOLE_URL').replace(/\/$/, '');
const user = env('CONSOLE_USER');
const password = env('CONSOLE_PASSWORD');
const overdueCase = env('CONSOLE_CASE');
const pictures = process.env.SCREENSHOTS;

let browser;
const faults = [];

before(async () => {
  browser = await chromium.launch({
    executablePath: process.env.TAKEDOWN_BROWSER || process.env.CHROMIUM || '/usr/bin/chromium-headless-shell',
    args: ['--no-sandbox'],
  });
  if (pictures) mkdirSync(pictures, { recursive: true });
});

after(() => browser?.close());

// A context that notes every request to anybody else and everything that the policy or a script complains of.
async function visitor(options = {}) {
  const context = await browser.newContext(options);
  context.setDefaultTimeout(15_000);
  context.on('request', (request) => {
    if (new URL(request.url()).origin !== new URL(base).origin) faults.push(`fetched ${new URL(request.url()).origin}`);
  });
  context.on('console', (message) => {
    // A refused form is shown by a page with its own status, which the browser's log calls an error.
    if (message.type() === 'error' && !/status of 4\d\d/.test(message.text())) faults.push(message.text());
  });
  context.on('weberror', (error) => faults.push(String(error.error())));
  const page = await context.newPage();
  return { context, page };
}

async function judged(page, name) {
  const { violations } = await new AxeBuilder({ page })
    .withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'])
    .analyze();
  const found = violations.map((v) => `${name}: ${v.id}: ${v.help}: ${v.nodes.map((n) => n.html).join(' | ')}`);
  assert.deepEqual(found, []);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.ok(wide <= 0, `${name} is ${wide} px wider than its window`);
  if (pictures) await page.screenshot({ path: join(pictures, `${name}.png`), fullPage: true });
}

async function signIn(page, path = '/') {
  await page.goto(base + path);
  await page.waitForURL(/\/sign-in/);
  await page.focus('#name');
  await page.keyboard.type(user);
  await page.keyboard.press('Tab');
  await page.keyboard.type(password);
  await page.keyboard.press('Enter');
  await page.waitForURL((url) => !url.pathname.startsWith('/sign-in'));
}

const heading = (page) => page.locator('h1').first().innerText();
const focused = (page, what) => page.evaluate((what) => document.activeElement?.[what] ?? '', what);

// Presses a key that leads to another page, and waits until that one is there.
async function go(page, key, path) {
  const arrived = page.waitForEvent('load');
  await page.keyboard.press(key);
  await arrived;
  assert.equal(new URL(page.url()).pathname, path);
}

const rows = (page) => page.locator('main table.list tbody th a');

// Follows a link by keyboard.
async function follow(page, link, path) {
  await link.focus();
  await page.keyboard.press('Enter');
  await page.waitForURL((url) => url.pathname === path);
}

test('somebody who is signed in walks every page by keyboard', async () => {
  const { context, page } = await visitor({ viewport: { width: 1360, height: 900 } });
  await page.goto(`${base}/sign-in`);
  await judged(page, 'sign-in');
  await page.goto(`${base}/overdue`);
  await page.locator('#name').fill(user);
  await page.locator('#password').fill('not the password');
  await page.keyboard.press('Enter');
  await page.getByRole('alert').waitFor();
  await judged(page, 'sign-in-refused');

  await signIn(page, '/');
  assert.equal(await heading(page), 'Pipeline');

  // The first stop is the way past the menu.
  await page.keyboard.press('Tab');
  assert.equal(await focused(page, 'className'), 'skip');
  await page.keyboard.press('Enter');
  await page.waitForURL(/#main$/);
  assert.equal(await focused(page, 'id'), 'main');

  const pages = [['1', '/', 'pipeline'], ['2', '/queue', 'queue'], ['3', '/overdue', 'overdue'], ['4', '/cases', 'cases'],
    ['5', '/providers', 'providers'], ['6', '/lists', 'lists']];
  for (const [key, path, name] of pages) {
    // The search is ready to be typed into; Escape leaves it.
    await page.keyboard.press('Escape');
    await go(page, key, path);
    // A row that leads somewhere, and not the one that says that there is none.
    if (name === 'overdue' || name === 'providers') assert.ok(await rows(page).count(), `${name} has no row`);
    await judged(page, name);
  }
  await go(page, '3', '/overdue');
  await follow(page, rows(page).first(), `/cases/${overdueCase}`);
  assert.ok(await page.getByText('host-one').count(), 'the case shows no notice');
  await judged(page, 'case-with-notice');
  await go(page, '5', '/providers');
  await follow(page, rows(page).first(), '/providers/host-one');
  await judged(page, 'provider');
  await page.keyboard.press('?');
  await page.locator('#keys[open]').waitFor();
  await judged(page, 'keys');
  await page.keyboard.press('Escape');
  assert.equal(await page.locator('#keys[open]').count(), 0);

  await page.goto(`${base}/cases/018f0000-0000-7000-8000-00000000ffff`);
  await judged(page, 'problem');
  await context.close();
});

test('a live page is refreshed, and can be paused', async () => {
  const { context, page } = await visitor();
  await signIn(page);
  const at = () => page.locator('#live time').first().getAttribute('datetime');
  const first = await at();
  await page.waitForFunction((first) => document.querySelector('#live time')?.dateTime !== first, first);
  await page.keyboard.press('p');
  assert.equal(await page.locator('#pause').getAttribute('aria-pressed'), 'true');
  await context.close();
});

test('a case is decided by keyboard', async () => {
  const { context, page } = await visitor({ viewport: { width: 1360, height: 900 } });
  await signIn(page, '/queue');
  await page.keyboard.press('n');
  await page.waitForURL(/\/queue\/[0-9a-f-]{36}/);
  const decided = new URL(page.url()).pathname.split('/').pop();
  await judged(page, 'decide');

  await page.keyboard.press('r');
  assert.equal(await focused(page, 'id'), 'reason');
  await page.keyboard.type('to assess it');
  await page.keyboard.press('Enter');
  await page.locator('#address').waitFor();
  assert.match(await page.locator('#address').innerText(), /^https?:\/\//);
  await judged(page, 'revealed');

  // A key chooses; nothing is recorded before Enter.
  await page.keyboard.press('b');
  assert.ok(await page.locator('input[value=category-b]').isChecked());
  await page.keyboard.press('a');
  assert.ok(await page.locator('input[value=category-a]').isChecked());
  assert.equal(await focused(page, 'id'), 'record');
  await page.keyboard.press('Enter');
  await page.waitForURL(/recorded=category-a/);
  const done = page.getByRole('status').first();
  assert.match(await done.innerText(), /category A/);
  await judged(page, 'decided');

  await page.goto(`${base}/cases?ref=${decided}`);
  await page.waitForURL(new RegExp(`/cases/${decided}`));
  await judged(page, 'case');
  await context.close();
});

test('everything works without scripts', async () => {
  const { context, page } = await visitor({ javaScriptEnabled: false });
  await signIn(page, '/queue');
  await page.getByRole('button', { name: /Claim the most urgent/ }).click();
  await page.waitForURL(/\/queue\/[0-9a-f-]{36}/);
  await page.getByRole('radio', { name: /Second look/ }).check();
  await page.getByRole('button', { name: /Record, and stop/ }).click();
  await page.waitForURL(/recorded=second-look/);
  await page.getByRole('button', { name: /Sign out/ }).click();
  await page.waitForURL(/\/sign-in/);
  await context.close();
});

test('every page fits a telephone', async () => {
  const { context, page } = await visitor({ viewport: { width: 360, height: 740 } });
  await signIn(page);
  for (const path of ['/', '/queue', '/overdue', '/cases', '/providers', '/lists']) {
    await page.goto(base + path);
    await judged(page, `small${path.replace('/', '-')}`);
  }
  await context.close();
});

test('nothing came from anybody else, and nothing broke the policy', () => {
  assert.deepEqual([...new Set(faults)], []);
});
