// The console in a real browser: every page by keyboard, a case decided by keyboard, nothing that axe finds, nothing
// fetched from anybody else, and the same work without scripts.
//
// Takes CONSOLE_URL, CONSOLE_USER and CONSOLE_PASSWORD (an analyst and supervisor; at least three undecided cases wait in the
// queue), CONSOLE_CASE (the id of a case with a notice that is overdue), and what desk.mjs takes.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { base, env, faults, focused, go, heading, judged, launch, signIn as signInAs, visitor as visitorOf } from './desk.mjs';

const user = env('CONSOLE_USER');
const password = env('CONSOLE_PASSWORD');
const overdueCase = env('CONSOLE_CASE');

let browser;
before(async () => { browser = await launch(); });
after(() => browser?.close());

const visitor = (options) => visitorOf(browser, options);

async function signIn(page, path = '/') {
  await page.goto(base + path);
  await signInAs(page, user, password);
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
    ['5', '/providers', 'providers'], ['6', '/lists', 'lists'], ['7', '/shift', 'shift'], ['8', '/parked', 'parked']];
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
  for (const path of ['/', '/queue', '/overdue', '/cases', '/providers', '/lists', '/shift', '/parked']) {
    await page.goto(base + path);
    await judged(page, `small${path.replace('/', '-')}`);
  }
  await context.close();
});

test('nothing came from anybody else, and nothing broke the policy', () => {
  assert.deepEqual([...new Set(faults)], []);
});
