// An analyst's shift and a supervisor's look at it, in a real browser and by keyboard alone, through a running `takedown`.
// It makes the pictures of docs/CONSOLE.md on its way.
//
// Takes what desk.mjs takes, and of a fresh system: ANN, BEA (analysts) and CLEO (a supervisor) with their passwords; the
// gateway's address GATEWAY and the key HOST_KEY of host-one, who is told of each case; FIRST, SECOND, … external ids of
// cases by their urgency; REFERENCE of the third; URL, which none of the pages may show but once; TAKEDOWN_PID.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { base, env, faults, focused, go, heading, judged, launch, pictured, signIn, turn, visitor } from './desk.mjs';

const url = env('URL');
const WINDOW = { viewport: { width: 1200, height: 800 } };

let browser;
before(async () => { browser = await launch(); });
after(() => browser?.close());

// Looks at what the keyboard reached, until it is so.
const until = (page, what, argument) => page.waitForFunction(what, argument, { polling: 50 });
const focus = (page, selector) => page.locator(`${selector}:focus`).waitFor();
const body = (page) => page.locator('main').innerText();
const here = (page) => new URL(page.url()).pathname;
const caseOf = (page) => here(page).split('/')[2];

// Tab, until the focus stands on something with these words.
async function tabTo(page, words) {
  for (let presses = 0; presses < 120; presses += 1) {
    await page.keyboard.press('Tab');
    const reached = await page.evaluate(() => document.activeElement?.matches('a, button, summary') && document.activeElement.textContent);
    if (reached && reached.includes(words)) return;
  }
  assert.fail(`the keyboard does not reach: ${words}`);
}

// Loads the page again until it has the words: what another service says takes its moment.
async function comes(page, words) {
  const deadline = Date.now() + 20_000;
  while (!(await body(page)).includes(words)) {
    assert.ok(Date.now() < deadline, `it does not come: ${words}`);
    await page.reload();
  }
}

// Finds a case by what is typed into the search.
async function find(page, words) {
  await page.keyboard.press('/');
  if (here(page) !== '/cases') await page.waitForURL(/\/cases$/);
  await focus(page, '#ref');
  await page.keyboard.type(words);
  await page.keyboard.press('Enter');
  await page.waitForURL(/\/cases\/[0-9a-f-]{36}/);
}

async function signOut(page) {
  await tabTo(page, 'Sign out');
  await turn(page, 'Enter');
  assert.equal(here(page), '/sign-in');
}

// The host's own program, at the provider's API.
async function host(path, body) {
  const headers = { authorization: `Bearer ${env('HOST_KEY')}`, 'content-type': 'application/json' };
  const answer = await fetch(`${env('GATEWAY').replace(/\/$/, '')}/provider/v1${path}`, body
    ? { method: 'POST', headers: { ...headers, 'idempotency-key': crypto.randomUUID() }, body: JSON.stringify(body) }
    : { headers });
  assert.equal(answer.status, 200, await answer.clone().text());
  return answer.json();
}

const done = {};

test('an analyst claims by priority, reveals for a reason, decides, holds, undoes and finds', async () => {
  const { context, page } = await visitor(browser, WINDOW);
  // No mouse in this shift.
  page.mouse = undefined;
  await page.goto(`${base}/queue`);
  await judged(page, 'shift-sign-in');
  await pictured(page, 'sign-in');
  await signIn(page, 'ann', env('ANN'));
  assert.equal(here(page), '/queue', 'back to where they wanted to go');
  await judged(page, 'shift-queue');
  await pictured(page, 'queue');
  assert.match(await body(page), /0 of 200 addresses revealed/);

  // By priority: the young person who asks for help comes first.
  await turn(page, 'n');
  await until(page, () => document.activeElement?.tagName === 'H1');
  done.first = caseOf(page);
  assert.match(await body(page), /Self-reported/);
  assert.ok(!(await page.content()).includes(url), 'the address is masked');
  await judged(page, 'shift-decide');
  await pictured(page, 'decide');

  // Revealed for a reason, once.
  await page.keyboard.press('r');
  assert.equal(await focused(page, 'id'), 'reason');
  await page.keyboard.type('to assess it');
  await turn(page, 'Enter');
  await focus(page, '#address');
  assert.equal(await page.locator('#address').innerText(), url);
  assert.match(await body(page), /1 of 200 reveals of this shift are used/);
  await judged(page, 'shift-revealed');
  await pictured(page, 'revealed');

  // A first verdict of two; the next case comes by itself, and the focus is on what was recorded.
  await page.keyboard.press('a');
  assert.equal(await focused(page, 'id'), 'record');
  await turn(page, 'Enter');
  await focus(page, '.done');
  assert.match(await page.locator('.done').innerText(), /category A, actionable; a second analyst has to confirm it/);
  assert.ok(!(await page.content()).includes(url), 'and not again');
  await judged(page, 'shift-first-of-two');

  // The second case is the police's for now.
  done.held = caseOf(page);
  await page.keyboard.press('h');
  assert.equal(await focused(page, 'id'), 'hold-reason');
  await page.keyboard.type('the police ask for time');
  await pictured(page, 'hold', 'details[open]');
  await turn(page, 'Enter');
  await focus(page, '.done');
  assert.match(await page.locator('.done').innerText(), /police hold is on this case/);
  assert.match(await body(page), /A supervisor may lift it before/);
  await judged(page, 'shift-held');

  // The third is a slip: recorded, told to the host, and taken back.
  await turn(page, 'n');
  done.undone = caseOf(page);
  await page.keyboard.press('b');
  await turn(page, 'Enter');
  await focus(page, '.done');
  await judged(page, 'shift-recorded');
  await pictured(page, 'recorded');
  done.fourth = caseOf(page);
  await turn(page, 'x');
  assert.equal(caseOf(page), done.undone);
  await focus(page, '#withdraw-reason');
  await comes(page, 'host-one');
  assert.equal((await host('/notices')).notices.length, 1);
  await page.reload();
  await focus(page, '#withdraw-reason');
  await page.keyboard.type('I pressed the wrong key');
  await judged(page, 'shift-undo');
  await pictured(page, 'undo');
  await turn(page, 'Enter');
  await focus(page, '.done');
  await comes(page, 'Retraction');
  assert.match(await body(page), /Withdrawn/);
  await judged(page, 'shift-retracted');
  await pictured(page, 'retracted');

  // Found again by the reporter's reference, with everything that happened to it.
  await find(page, env('REFERENCE'));
  assert.equal(caseOf(page), done.undone);
  for (const words of ['Case actionable', 'Verdict withdrawn', 'Notice withdrawn']) await comes(page, words);

  // The ledger has the reveal.
  await find(page, env('FIRST'));
  assert.equal(caseOf(page), done.first);
  await comes(page, 'Url revealed');

  // The fourth, which is still in hand: a first verdict, and no more for now.
  await find(page, done.fourth);
  await turn(page, 'd');
  assert.equal(here(page), `/queue/${done.fourth}`);
  await page.keyboard.press('a');
  await page.keyboard.press('Tab');
  assert.equal(await focused(page, 'value'), 'queue');
  await turn(page, 'Enter');
  await focus(page, '.done');
  assert.match(await body(page), /0 in hand, 3 verdicts, 1 of 200 addresses revealed/);

  // The keys are listed, and can be turned off.
  await page.keyboard.press('?');
  await page.locator('#keys[open]').waitFor();
  await judged(page, 'shift-keys');
  await pictured(page, 'keys', '#keys');
  for (let at = ''; at !== 'keys-on'; at = await focused(page, 'id')) await page.keyboard.press('Tab');
  await page.keyboard.press('Space');
  await page.keyboard.press('Escape');
  await page.keyboard.press('1');
  await page.keyboard.press('?');
  assert.equal(await page.locator('#keys[open]').count(), 0, 'no single key works any more');
  assert.equal(here(page), '/queue');
  await signOut(page);
  await context.close();
});

test('a second analyst confirms one verdict and does not confirm another', async () => {
  const { context, page } = await visitor(browser, WINDOW);
  await page.goto(`${base}/queue`);
  await signIn(page, 'bea', env('BEA'));
  await turn(page, 'n');
  assert.equal(caseOf(page), done.first, 'the most urgent still');
  await page.keyboard.press('a');
  await turn(page, 'Enter');
  await focus(page, '.done');
  assert.ok(!(await body(page)).includes('has to confirm'));
  const verdicts = { [done.undone]: 'b', [done.fourth]: 'n' };
  while (Object.keys(verdicts).length) {
    const key = verdicts[caseOf(page)] ?? 'c';
    delete verdicts[caseOf(page)];
    await page.keyboard.press(key);
    await turn(page, 'Enter');
  }
  await find(page, done.first);
  await comes(page, 'host-one');
  await comes(page, 'analyst: ann, bea');
  await judged(page, 'shift-confirmed');
  await pictured(page, 'case');
  await signOut(page);
  await context.close();
});

test('a supervisor sees the shift, the overdue wall refreshes itself, and a provider has its clocks and ours', async () => {
  const { context, page } = await visitor(browser, WINDOW);
  await page.goto(`${base}/shift`);
  await signIn(page, 'cleo', env('CLEO'));
  assert.equal(await heading(page), 'Shift');
  const shift = await body(page);
  for (const words of ['ann', 'bea', '1 of 200', 'The second analyst saw it otherwise', 'Taken back by whoever gave it', 'Police hold']) {
    assert.ok(shift.includes(words), words);
  }
  await until(page, () => /Verification\s+1/.test(document.querySelector('main').innerText));
  await judged(page, 'shift-shift');
  await pictured(page, 'shift');
  await go(page, '8', '/parked');
  assert.match(await body(page), /takedown parked replay --consumer verification --producer intake/);
  await judged(page, 'shift-parked');
  await pictured(page, 'parked', 'main section');

  // The hold is lifted.
  await find(page, env('SECOND'));
  assert.equal(caseOf(page), done.held);
  await turn(page, 'l');
  await focus(page, '.done');
  assert.match(await page.locator('.done').innerText(), /hold is lifted/);
  await judged(page, 'shift-released');

  // The wall: a host lets its time run out; then it disputes, and the line goes without anybody loading the page.
  await go(page, '3', '/overdue');
  await until(page, () => document.querySelectorAll('#live tbody th a').length >= 2);
  await judged(page, 'shift-overdue');
  await pictured(page, 'overdue');
  await page.evaluate(() => { window.sameWall = true; });
  const lines = () => page.locator('#live tbody th a').count();
  const before = await lines();
  const { notices } = await host('/notices');
  const open = notices.find((notice) => notice.case_id === done.first);
  await host(`/notices/${open.notice_id}/answers`, { answer: 'disputed', text: 'This page is a museum of photography.' });
  await until(page, (before) => document.querySelectorAll('#live tbody th a').length < before, before);
  assert.ok(await page.evaluate(() => window.sameWall), 'nobody loaded it again');

  // Where nothing comes any more, it says so and since when; and stops saying so.
  process.kill(Number(env('TAKEDOWN_PID')), 'SIGSTOP');
  try {
    await page.locator('#stale:not([hidden])').waitFor();
    assert.match(await page.locator('#stale').innerText(), /stopped refreshing at \d\d:\d\d:\d\d UTC/);
    await judged(page, 'shift-stale');
    await pictured(page, 'stale');
  } finally {
    process.kill(Number(env('TAKEDOWN_PID')), 'SIGCONT');
  }
  await page.locator('#stale').waitFor({ state: 'hidden' });

  await go(page, '5', '/providers');
  await tabTo(page, 'host-one');
  await turn(page, 'Enter');
  assert.equal(here(page), '/providers/host-one');
  const provider = await body(page);
  for (const words of ['Their clocks', 'Our clocks', 'False: retracted after they were told', '1 (']) assert.ok(provider.includes(words), words);
  await judged(page, 'shift-provider');
  await pictured(page, 'provider');
  await go(page, '1', '/');
  await judged(page, 'shift-pipeline');
  await pictured(page, 'pipeline');
  await context.close();
});

test('a session that ends over a form loses nothing that was written', async () => {
  const { context, page } = await visitor(browser, WINDOW);
  await page.goto(`${base}/cases?ref=${done.fourth}`);
  await signIn(page, 'cleo', env('CLEO'));
  await page.waitForURL(/\/cases\/[0-9a-f-]{36}/);
  await page.keyboard.press('h');
  await page.keyboard.type('a reason of some length');
  // As it is when verification no longer knows it.
  const cookies = await context.cookies();
  await context.addCookies(cookies.map((cookie) => ({ ...cookie, value: 'a-session-that-is-over' })));
  await turn(page, 'Enter');
  await signIn(page, 'cleo', env('CLEO'));
  assert.equal(caseOf(page), done.fourth);
  await focus(page, '#hold-reason');
  assert.equal(await page.inputValue('#hold-reason'), 'a reason of some length');
  await turn(page, 'Enter');
  await focus(page, '.done');
  assert.match(await body(page), /Held|police hold/);

  // A form of a session before is refused plainly, and its words are not lost either.
  const other = await context.newPage();
  await page.keyboard.press('x');
  await context.clearCookies();
  await other.goto(`${base}/queue`);
  await signIn(other, 'cleo', env('CLEO'));
  await page.keyboard.type('the second thought');
  await turn(page, 'Enter');
  assert.equal(await heading(page), 'This form was not taken');
  await until(page, () => document.activeElement?.tagName === 'H1');
  await judged(page, 'shift-form-refused');
  await tabTo(page, 'Back to the page');
  await turn(page, 'Enter');
  await focus(page, '#withdraw-reason');
  assert.equal(await page.inputValue('#withdraw-reason'), 'the second thought');
  await context.close();
});

test('nothing came from anybody else, and every answer had its policy', () => {
  assert.deepEqual([...new Set(faults)], []);
});
