// An analyst's shift and a supervisor's overview of it, in a real browser and by keyboard alone, through a running
// `takedown`. Takes the pictures of docs/CONSOLE.md.
//
// Reads the variables of console_page.mjs, and of a new system: the passwords ANN, BEA (analysts) and CLEO (a supervisor);
// the gateway's address GATEWAY and the key HOST_KEY of host-one, which is notified of each case; FIRST, SECOND, … the
// external ids of cases by urgency; REFERENCE of the third case; URL, which pages may show only once; TAKEDOWN_PID.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import {
  assertAccessible, base, env, faults, focusedProperty, goTo, heading, isFocused, launch, openVisitor, press, pressAndLoad, signIn,
  takePicture, waitForKeys,
} from './console_page.mjs';

const url = env('URL');
const WINDOW = { viewport: { width: 1200, height: 800 } };

let browser;
before(async () => { browser = await launch(); });
after(() => browser?.close());

const waitFor = (page, condition, argument) => page.waitForFunction(condition, argument, { polling: 50 });
const mainText = (page) => page.locator('main').innerText();
const path = (page) => new URL(page.url()).pathname;
const caseOf = (page) => path(page).split('/')[2];

// Presses Tab until the focus is on an element with this text.
async function tabTo(page, text) {
  await waitForKeys(page);
  for (let presses = 0; presses < 120; presses += 1) {
    await page.keyboard.press('Tab');
    const reached = await page.evaluate(() => document.activeElement?.matches('a, button, summary') && document.activeElement.textContent);
    if (reached && reached.includes(text)) return;
  }
  assert.fail(`the keyboard does not reach: ${text}`);
}

// Loads the page again until it has the text: events of another service take a moment to arrive.
async function reloadUntil(page, text) {
  const deadline = Date.now() + 20_000;
  while (!(await mainText(page)).includes(text)) {
    assert.ok(Date.now() < deadline, `it does not appear: ${text}`);
    await page.reload();
  }
}

// Finds a case by what is typed into the search.
async function find(page, text) {
  await press(page, '/');
  if (path(page) !== '/cases') await page.waitForURL(/\/cases$/);
  await isFocused(page, '#ref');
  await page.keyboard.type(text);
  await page.keyboard.press('Enter');
  await page.waitForURL(/\/cases\/[0-9a-f-]{36}/);
}

async function signOut(page) {
  await tabTo(page, 'Sign out');
  await pressAndLoad(page, 'Enter');
  assert.equal(path(page), '/sign-in');
}

// A call of the host's own program to the provider API.
async function callAsHost(path, body) {
  const headers = { authorization: `Bearer ${env('HOST_KEY')}`, 'content-type': 'application/json' };
  const answer = await fetch(`${env('GATEWAY').replace(/\/$/, '')}/provider/v1${path}`, body
    ? { method: 'POST', headers: { ...headers, 'idempotency-key': crypto.randomUUID() }, body: JSON.stringify(body) }
    : { headers });
  assert.equal(answer.status, 200, await answer.clone().text());
  return answer.json();
}

// Ids of the cases that later tests continue with.
const cases = {};

test('an analyst claims by priority, reveals for a reason, decides, holds, undoes and finds', async () => {
  const { context, page } = await openVisitor(browser, WINDOW);
  // No mouse in this shift.
  page.mouse = undefined;
  await page.goto(`${base}/queue`);
  await assertAccessible(page, 'shift-sign-in');
  await takePicture(page, 'sign-in');
  await signIn(page, 'ann', env('ANN'));
  assert.equal(path(page), '/queue', 'back on the page that was asked for');
  await assertAccessible(page, 'shift-queue');
  await takePicture(page, 'queue');
  assert.match(await mainText(page), /0 of 200 URLs revealed/);

  // By priority: the young person's report comes first.
  await pressAndLoad(page, 'n');
  await waitFor(page, () => document.activeElement?.tagName === 'H1');
  cases.first = caseOf(page);
  assert.match(await mainText(page), /Self-reported/);
  assert.ok(!(await page.content()).includes(url), 'the URL is masked');
  await assertAccessible(page, 'shift-decide');
  await takePicture(page, 'decide');

  // Revealed for a reason, once.
  await press(page, 'r');
  assert.equal(await focusedProperty(page, 'id'), 'reason');
  await page.keyboard.type('to assess it');
  await pressAndLoad(page, 'Enter');
  await isFocused(page, '#revealed-url');
  assert.equal(await page.locator('#revealed-url').innerText(), url);
  assert.match(await mainText(page), /1 of 200 reveals of this shift are used/);
  await assertAccessible(page, 'shift-revealed');
  await takePicture(page, 'revealed');

  // The first of two verdicts; the next case is claimed, and the focus is on what was recorded.
  await press(page, 'a');
  assert.equal(await focusedProperty(page, 'id'), 'record');
  await pressAndLoad(page, 'Enter');
  await isFocused(page, '.done');
  assert.match(await page.locator('.done').innerText(), /category A, actionable; a second analyst has to confirm it/);
  assert.ok(!(await page.content()).includes(url), 'and not again');
  await assertAccessible(page, 'shift-first-of-two');

  // The second case is put on police hold.
  cases.held = caseOf(page);
  await press(page, 'h');
  assert.equal(await focusedProperty(page, 'id'), 'hold-reason');
  await page.keyboard.type('the police ask for time');
  await takePicture(page, 'hold', 'details[open]');
  await pressAndLoad(page, 'Enter');
  await isFocused(page, '.done');
  assert.match(await page.locator('.done').innerText(), /The case is on police hold/);
  assert.match(await mainText(page), /A supervisor can lift it earlier/);
  await assertAccessible(page, 'shift-held');

  // The third is a mistake: recorded, sent to the host, and withdrawn.
  await pressAndLoad(page, 'n');
  cases.undone = caseOf(page);
  await press(page, 'b');
  await pressAndLoad(page, 'Enter');
  await isFocused(page, '.done');
  await assertAccessible(page, 'shift-recorded');
  await takePicture(page, 'recorded');
  cases.fourth = caseOf(page);
  await pressAndLoad(page, 'x');
  assert.equal(caseOf(page), cases.undone);
  await isFocused(page, '#withdraw-reason');
  await reloadUntil(page, 'host-one');
  assert.equal((await callAsHost('/notices')).notices.length, 1);
  await page.reload();
  await isFocused(page, '#withdraw-reason');
  await page.keyboard.type('I pressed the wrong key');
  await assertAccessible(page, 'shift-undo');
  await takePicture(page, 'undo');
  await pressAndLoad(page, 'Enter');
  await isFocused(page, '.done');
  await reloadUntil(page, 'Retraction');
  assert.match(await mainText(page), /Withdrawn/);
  await assertAccessible(page, 'shift-retracted');
  await takePicture(page, 'retracted');

  // Found by the reporter's reference, with its whole timeline.
  await find(page, env('REFERENCE'));
  assert.equal(caseOf(page), cases.undone);
  for (const text of ['Case actionable', 'Verdict withdrawn', 'Notice withdrawn']) await reloadUntil(page, text);

  // The ledger has the reveal.
  await find(page, env('FIRST'));
  assert.equal(caseOf(page), cases.first);
  await reloadUntil(page, 'URL revealed');

  // The fourth, which is still claimed: a first verdict, and then no further case.
  await find(page, cases.fourth);
  await pressAndLoad(page, 'd');
  assert.equal(path(page), `/queue/${cases.fourth}`);
  await press(page, 'a');
  await page.keyboard.press('Tab');
  assert.equal(await focusedProperty(page, 'value'), 'queue');
  await pressAndLoad(page, 'Enter');
  await isFocused(page, '.done');
  assert.match(await mainText(page), /0 claimed, 3 verdicts, 1 of 200 URLs revealed/);

  // The keys are listed, and can be turned off.
  await press(page, '?');
  await page.locator('#keys[open]').waitFor();
  await assertAccessible(page, 'shift-keys');
  await takePicture(page, 'keys', '#keys');
  for (let at = ''; at !== 'keys-on'; at = await focusedProperty(page, 'id')) await page.keyboard.press('Tab');
  await page.keyboard.press('Space');
  await page.keyboard.press('Escape');
  await page.keyboard.press('1');
  await page.keyboard.press('?');
  assert.equal(await page.locator('#keys[open]').count(), 0, 'single keys are off');
  assert.equal(path(page), '/queue');
  await signOut(page);
  await context.close();
});

test('a second analyst confirms one verdict and does not confirm another', async () => {
  const { context, page } = await openVisitor(browser, WINDOW);
  await page.goto(`${base}/queue`);
  await signIn(page, 'bea', env('BEA'));
  await pressAndLoad(page, 'n');
  assert.equal(caseOf(page), cases.first, 'still the most urgent');
  await press(page, 'a');
  await pressAndLoad(page, 'Enter');
  await isFocused(page, '.done');
  assert.ok(!(await mainText(page)).includes('has to confirm'));
  const verdicts = { [cases.undone]: 'b', [cases.fourth]: 'l' };
  while (Object.keys(verdicts).length) {
    const key = verdicts[caseOf(page)] ?? 'c';
    delete verdicts[caseOf(page)];
    await press(page, key);
    await pressAndLoad(page, 'Enter');
  }
  await find(page, cases.first);
  await reloadUntil(page, 'host-one');
  await reloadUntil(page, 'analyst: ann, bea');
  await assertAccessible(page, 'shift-confirmed');
  await takePicture(page, 'case');
  await signOut(page);
  await context.close();
});

test('a supervisor sees the shift, the overdue page updates itself, and a provider page shows the clocks of both sides', async () => {
  const { context, page } = await openVisitor(browser, WINDOW);
  await page.goto(`${base}/shift`);
  await signIn(page, 'cleo', env('CLEO'));
  assert.equal(await heading(page), 'Shift');
  const shift = await mainText(page);
  for (const text of ['ann', 'bea', '1 of 200', 'The second analyst gave a different verdict', 'Withdrawn by the analyst who gave it', 'Police hold']) {
    assert.ok(shift.includes(text), text);
  }
  await waitFor(page, () => /Verification\s+!\s*Alarm:\s*1/.test(document.querySelector('main').innerText));
  await assertAccessible(page, 'shift-shift');
  await takePicture(page, 'shift');
  await goTo(page, '8', '/parked');
  assert.match(await mainText(page), /takedown parked replay --consumer verification --producer intake/);
  await assertAccessible(page, 'shift-parked');
  await takePicture(page, 'parked', 'main section');

  // The hold is lifted.
  await find(page, env('SECOND'));
  assert.equal(caseOf(page), cases.held);
  await pressAndLoad(page, 'v');
  await isFocused(page, '.done');
  assert.match(await page.locator('.done').innerText(), /hold is lifted/);
  await assertAccessible(page, 'shift-released');

  // A host misses its deadline; then it disputes, and the row disappears without loading the page again.
  await goTo(page, '3', '/overdue');
  await waitFor(page, () => document.querySelectorAll('#updates tbody th a').length >= 2);
  await assertAccessible(page, 'shift-overdue');
  await takePicture(page, 'overdue');
  await page.evaluate(() => { window.isSamePage = true; });
  const before = await page.locator('#updates tbody th a').count();
  const { notices } = await callAsHost('/notices');
  const open = notices.find((notice) => notice.case_id === cases.first);
  await callAsHost(`/notices/${open.notice_id}/answers`, { answer: 'disputed', text: 'This page is a museum of photography.' });
  await waitFor(page, (before) => document.querySelectorAll('#updates tbody th a').length < before, before);
  assert.ok(await page.evaluate(() => window.isSamePage), 'the page was not loaded again');

  // While no updates arrive, an alert shows since when; it disappears when they arrive again.
  process.kill(Number(env('TAKEDOWN_PID')), 'SIGSTOP');
  try {
    await page.locator('#stale:not([hidden])').waitFor();
    assert.match(await page.locator('#stale').innerText(), /stopped refreshing at \d\d:\d\d:\d\d UTC/);
    await assertAccessible(page, 'shift-stale');
    await takePicture(page, 'stale');
  } finally {
    process.kill(Number(env('TAKEDOWN_PID')), 'SIGCONT');
  }
  await page.locator('#stale').waitFor({ state: 'hidden' });

  await goTo(page, '5', '/providers');
  await tabTo(page, 'host-one');
  await pressAndLoad(page, 'Enter');
  assert.equal(path(page), '/providers/host-one');
  const provider = await mainText(page);
  for (const text of ['Their clocks', 'Our clocks', 'Retracted after they were sent', '1 (']) assert.ok(provider.includes(text), text);
  await assertAccessible(page, 'shift-provider');
  await takePicture(page, 'provider');
  await goTo(page, '1', '/');
  await assertAccessible(page, 'shift-pipeline');
  await takePicture(page, 'pipeline');
  await context.close();
});

test('text that was typed survives the end of the session', async () => {
  const { context, page } = await openVisitor(browser, WINDOW);
  await page.goto(`${base}/cases?ref=${cases.fourth}`);
  await signIn(page, 'cleo', env('CLEO'));
  await page.waitForURL(/\/cases\/[0-9a-f-]{36}/);
  await press(page, 'h');
  await page.keyboard.type('a reason of some length');
  // As if verification did not know the session any more.
  const cookies = await context.cookies();
  await context.addCookies(cookies.map((cookie) => ({ ...cookie, value: 'a-session-that-is-over' })));
  await pressAndLoad(page, 'Enter');
  await signIn(page, 'cleo', env('CLEO'));
  assert.equal(caseOf(page), cases.fourth);
  await isFocused(page, '#hold-reason');
  assert.equal(await page.inputValue('#hold-reason'), 'a reason of some length');
  await pressAndLoad(page, 'Enter');
  await isFocused(page, '.done');
  assert.match(await mainText(page), /on police hold/);

  // A form of an earlier session is refused, and its text is kept as well.
  const other = await context.newPage();
  await press(page, 'x');
  await context.clearCookies();
  await other.goto(`${base}/queue`);
  await signIn(other, 'cleo', env('CLEO'));
  await page.keyboard.type('the second thought');
  await pressAndLoad(page, 'Enter');
  assert.equal(await heading(page), 'This form was not accepted');
  await waitFor(page, () => document.activeElement?.tagName === 'H1');
  await assertAccessible(page, 'shift-form-refused');
  await tabTo(page, 'Back to the page');
  await pressAndLoad(page, 'Enter');
  await isFocused(page, '#withdraw-reason');
  assert.equal(await page.inputValue('#withdraw-reason'), 'the second thought');
  await context.close();
});

test('no page fetched from another site or broke its content policy', () => {
  assert.deepEqual([...new Set(faults)], []);
});
