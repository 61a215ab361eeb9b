// The page that the link of a notice mail opens, on a phone and without scripts: it does not scroll sideways, axe finds
// nothing, and nothing is fetched from another site; every answer can be given, by one click or with text, and a mistake
// keeps what was typed.
//
// Reads NOTICE_LINK (of a notice that waits for an answer), TAKEDOWN_BROWSER or CHROMIUM (the browser's program), NODE_PATH
// (its packages), SCREENSHOTS (a folder, optional). Leaves the notice disputed.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

const require = createRequire(import.meta.url);
const { chromium } = require('playwright-core');
const { AxeBuilder } = require('@axe-core/playwright');

const link = process.env.NOTICE_LINK;
assert.ok(link, 'NOTICE_LINK is not set');
const screenshots = process.env.SCREENSHOTS;

const ANSWERS = ['acknowledged', 'removed', 'unavailable', 'moved', 'not_ours', 'preserved', 'need_information', 'need_time',
  'disputed', 'no_action'];

let browser;
const faults = [];

before(async () => {
  browser = await chromium.launch({
    executablePath: process.env.TAKEDOWN_BROWSER || process.env.CHROMIUM || '/usr/bin/chromium-headless-shell',
    args: ['--no-sandbox'],
  });
  if (screenshots) mkdirSync(screenshots, { recursive: true });
});

after(() => browser?.close());

async function openPhone(options = {}) {
  const context = await browser.newContext({ viewport: { width: 320, height: 640 }, hasTouch: true, ...options });
  context.setDefaultTimeout(15_000);
  context.on('request', (request) => {
    if (new URL(request.url()).origin !== new URL(link).origin) faults.push(`fetched ${new URL(request.url()).origin}`);
  });
  context.on('console', (message) => {
    if (message.type() === 'error' && !/status of 4\d\d/.test(message.text())) faults.push(message.text());
  });
  return { context, page: await context.newPage() };
}

async function assertFits(page, name) {
  // The browser can run this also where the scripts of the page are off.
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.ok(wide <= 0, `${name} is ${wide} px wider than the phone`);
  if (screenshots) await page.screenshot({ path: join(screenshots, `${name}.png`), fullPage: true });
}

test('axe finds nothing on the page', async () => {
  const { context, page } = await openPhone();
  await page.goto(link);
  await page.locator('summary').click();
  const { violations } = await new AxeBuilder({ page })
    .withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'])
    .analyze();
  assert.deepEqual(violations.map((v) => `${v.id}: ${v.help}: ${v.nodes.map((n) => n.html).join(' | ')}`), []);
  await assertFits(page, 'notice-with-its-proof');
  await context.close();
});

test('a phone without scripts shows the notice, its proof and every answer, and accepts answers', async () => {
  const { context, page } = await openPhone({ javaScriptEnabled: false });
  await page.goto(link);
  await assertFits(page, 'notice');
  assert.match(await page.locator('#proof').innerText(), /has checked it: the hotline signed/);
  for (const answer of ANSWERS) assert.equal(await page.locator(`#answer-${answer}`).count(), 1, answer);
  assert.match(await page.locator('#state').innerText(), /delivered/);

  // Large enough for a thumb.
  for (const button of await page.locator('.clicks button').all()) {
    const { height } = await button.boundingBox();
    assert.ok(height >= 44, `a button of ${height} px`);
  }
  await page.getByRole('button', { name: 'We have received it' }).tap();
  await page.getByRole('heading', { name: 'Your answer is recorded' }).waitFor();
  await assertFits(page, 'answered');
  await page.getByRole('link', { name: 'Back to the notice' }).tap();
  assert.match(await page.locator('#state').innerText(), /acknowledged/);

  // A mistake is reported at its field, and nothing that was typed is lost.
  await page.locator('#answer-need_time').check();
  await page.locator('#text').fill('We need the weekend.');
  await page.getByRole('button', { name: 'Send the answer' }).tap();
  await page.getByRole('alert').waitFor();
  await assertFits(page, 'mistake');
  assert.equal(await page.locator('#text').inputValue(), 'We need the weekend.');
  assert.ok(await page.locator('#answer-need_time').isChecked());

  await page.locator('#answer-disputed').check();
  await page.locator('#text').fill('It is a drawing of a tree.');
  await page.getByRole('button', { name: 'Send the answer' }).tap();
  await page.getByRole('heading', { name: 'Your answer is recorded' }).waitFor();
  assert.match(await page.locator('#state').innerText(), /disputed/);
  await context.close();
});

test('an invalid link shows a page, too', async () => {
  const { context, page } = await openPhone({ javaScriptEnabled: false });
  const response = await page.goto(`${link}x`);
  assert.equal(response.status(), 404);
  await assertFits(page, 'invalid-link');
  await context.close();
});

test('nothing was fetched from another site, and no script failed', () => {
  assert.deepEqual(faults, []);
});
