// The console in a real browser: every page by keyboard and on a narrow screen, a case decided by keyboard, refusals in the
// page of their form, one meaning for each key, no accessibility findings, and the same work without scripts.
//
// Reads CONSOLE_URL, CONSOLE_USER and CONSOLE_PASSWORD (an analyst and supervisor; at least five undecided cases are in the
// queue), CONSOLE_CASE (the id of a case with an overdue notice), and the variables of console_page.mjs.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import {
  assertAccessible, assertFits, base, env, faults, focusedProperty, goTo, heading, isFocused, launch, openVisitor, press, pressAndLoad,
  signIn as signInAs, waitForKeys,
} from './console_page.mjs';

const user = env('CONSOLE_USER');
const password = env('CONSOLE_PASSWORD');
const overdueCase = env('CONSOLE_CASE');

const PAGES = [['1', '/', 'pipeline'], ['2', '/queue', 'queue'], ['3', '/overdue', 'overdue'], ['4', '/cases', 'cases'],
  ['5', '/providers', 'providers'], ['6', '/lists', 'lists'], ['7', '/shift', 'shift'], ['8', '/parked', 'parked']];
const UNKNOWN_CASE = '/cases/018f0000-0000-7000-8000-00000000ffff';

let browser;
before(async () => { browser = await launch(); });
after(() => browser?.close());

const visit = (options) => openVisitor(browser, options);

async function signIn(page, path = '/') {
  await page.goto(base + path);
  await signInAs(page, user, password);
}

// Claims the most urgent case, and returns its id.
async function claimNext(page) {
  await page.goto(`${base}/queue`);
  await pressAndLoad(page, 'n');
  assert.match(page.url(), /\/queue\/[0-9a-f-]{36}/);
  return new URL(page.url()).pathname.split('/').pop();
}

const rowLinks = (page) => page.locator('main table.list tbody th a');

// Follows a link by keyboard.
async function follow(page, link, path) {
  await waitForKeys(page);
  await link.focus();
  await page.keyboard.press('Enter');
  await page.waitForURL((url) => url.pathname === path);
}

// What a keyboard of another layout sends for the key at this position.
const pressOnLayout = (page, key, code) => page.evaluate(([key, code]) => {
  document.body.dispatchEvent(new KeyboardEvent('keydown', { key, code, bubbles: true, cancelable: true }));
}, [key, code]);

test('every page is reached by keyboard', async () => {
  const { context, page } = await visit({ viewport: { width: 1360, height: 900 } });
  await page.goto(`${base}/sign-in`);
  await assertAccessible(page, 'sign-in');
  await page.goto(`${base}/overdue`);
  await page.locator('#name').fill(user);
  await page.locator('#password').fill('not the password');
  await page.keyboard.press('Enter');
  await page.getByRole('alert').waitFor();
  await assertAccessible(page, 'sign-in-refused');

  await signIn(page, '/');
  assert.equal(await heading(page), 'Pipeline');

  // The first stop skips the menu.
  await press(page, 'Tab');
  assert.equal(await focusedProperty(page, 'className'), 'skip');
  await page.keyboard.press('Enter');
  await page.waitForURL(/#main$/);
  assert.equal(await focusedProperty(page, 'id'), 'main');

  for (const [key, path, name] of PAGES) {
    // The search field has the focus on its page; Escape leaves it.
    await page.keyboard.press('Escape');
    await goTo(page, key, path);
    if (name === 'overdue' || name === 'providers') assert.ok(await rowLinks(page).count(), `${name} has no row`);
    await assertAccessible(page, name);
  }
  await goTo(page, '3', '/overdue');
  await follow(page, rowLinks(page).first(), `/cases/${overdueCase}`);
  assert.ok(await page.getByText('host-one').count(), 'the case shows no notice');
  await assertAccessible(page, 'case-with-notice');
  await goTo(page, '5', '/providers');
  await follow(page, rowLinks(page).first(), '/providers/host-one');
  await assertAccessible(page, 'provider');
  await press(page, '?');
  await page.locator('#keys[open]').waitFor();
  await assertAccessible(page, 'keys');
  await page.keyboard.press('Escape');
  assert.equal(await page.locator('#keys[open]').count(), 0);
  await context.close();
});

test('an error page keeps the menu and the name', async () => {
  const { context, page } = await visit();
  await signIn(page);
  for (const path of [UNKNOWN_CASE, '/nowhere', '/queue/not-a-number', '/providers/No%20Provider']) {
    const response = await page.goto(base + path);
    assert.ok(response.status() >= 400, path);
    assert.ok(await page.getByRole('link', { name: 'Overdue' }).count(), `${path} has no menu`);
    assert.ok(await page.getByRole('button', { name: `Sign out ${user}` }).count(), `${path} has no name`);
    const text = await page.locator('main').innerText();
    assert.doesNotMatch(text, /_id\b|UUID|cursor|null|hexadecimal/);
    await assertAccessible(page, 'error-page');
  }
  await context.close();
});

test('an open page is updated, and updates can be paused', async () => {
  const { context, page } = await visit();
  await signIn(page);
  const readAt = () => page.locator('#updates time').first().getAttribute('datetime');
  const first = await readAt();
  await page.waitForFunction((first) => document.querySelector('#updates time')?.dateTime !== first, first);
  await press(page, 'p');
  assert.equal(await page.locator('#pause').getAttribute('aria-pressed'), 'true');
  await context.close();
});

test('an update leaves open what the reader has opened', async () => {
  const { context, page } = await visit();
  await signIn(page);
  const isOpen = () => page.locator('#conservation').evaluate((details) => details.open);
  const updated = async (times) => {
    for (let n = 0; n < times; n += 1) {
      const before = await page.locator('#updates time').first().getAttribute('datetime');
      await page.waitForFunction((before) => document.querySelector('#updates time')?.dateTime !== before, before);
    }
  };
  await page.locator('#conservation summary').click();
  await updated(2);
  assert.ok(await isOpen(), 'opened by pointer');
  await waitForKeys(page);
  await page.locator('#conservation summary').focus();
  await page.keyboard.press('Enter');
  await updated(2);
  assert.ok(!(await isOpen()), 'closed by keyboard');
  await page.keyboard.press('Enter');
  await updated(2);
  assert.ok(await isOpen(), 'opened by keyboard');
  assert.equal(await focusedProperty(page, 'tagName'), 'SUMMARY');
  await context.close();
});

test('a case is decided by keyboard', async () => {
  const { context, page } = await visit({ viewport: { width: 1360, height: 900 } });
  await signIn(page, '/queue');
  const decided = await claimNext(page);
  await assertAccessible(page, 'decide');

  await press(page, 'r');
  assert.equal(await focusedProperty(page, 'id'), 'reason');
  await page.keyboard.type('to assess it');
  await page.keyboard.press('Enter');
  await page.locator('#revealed-url').waitFor();
  assert.match(await page.locator('#revealed-url').innerText(), /^https?:\/\//);
  await assertAccessible(page, 'revealed');

  // A key chooses; nothing is recorded before Enter.
  await press(page, 'b');
  assert.ok(await page.locator('input[value=category-b]').isChecked());
  await page.keyboard.press('f');
  assert.ok(await page.locator('input[value=not-found]').isChecked());
  assert.equal(await focusedProperty(page, 'id'), 'record');
  await page.keyboard.press('Enter');
  await page.waitForURL(/recorded=not-found/);
  const done = page.getByRole('status').first();
  assert.match(await done.innerText(), /nothing found/i);
  await assertAccessible(page, 'decided');
  await pressAndLoad(page, 'z');

  await page.goto(`${base}/cases?ref=${decided}`);
  await page.waitForURL(new RegExp(`/cases/${decided}`));
  await assertAccessible(page, 'case');
  await context.close();
});

test('a refused form stays in its page with what was typed and chosen', async () => {
  const { context, page } = await visit();
  await signIn(page, '/queue');
  const claimed = await claimNext(page);

  // A police hold that ends in the past.
  await press(page, 'h');
  await page.keyboard.type('the police ask for time');
  await page.locator('#hold-until').fill('2020-01-01T00:00');
  await page.locator('#hold-reason').press('Enter');
  await isFocused(page, '#refusal');
  assert.match(await page.locator('#refusal').innerText(), /end of the police hold is in the past/);
  assert.equal(await page.inputValue('#hold-reason'), 'the police ask for time');
  assert.equal(await page.inputValue('#hold-until'), '2020-01-01T00:00');
  assert.ok(await page.locator('#hold-reason').isVisible(), 'the form is open');
  assert.equal(await page.locator('#hold-until').getAttribute('aria-invalid'), 'true');
  assert.match(await page.locator('#police-hold-until-error').innerText(), /Enter a later time/);
  assert.equal(new URL(page.url()).pathname, `/queue/${claimed}`, 'the address is that of the page');
  assert.ok(await page.getByRole('button', { name: `Sign out ${user}` }).count(), 'the menu stays');
  await assertAccessible(page, 'refused-hold');
  await page.reload();
  assert.equal(await page.locator('#refusal').count(), 0, 'loading the page again sends nothing');

  // A verdict on another version of the case than its present one.
  await press(page, 'f');
  await page.locator('#decide input[name=version]').evaluate((field) => { field.value = '99'; });
  await pressAndLoad(page, 'Enter');
  await isFocused(page, '#refusal');
  assert.match(await page.locator('#refusal').innerText(), /case has changed since you opened it/);
  assert.ok(await page.locator('input[value=not-found]').isChecked(), 'the verdict stays chosen');
  assert.doesNotMatch(await page.locator('main').innerText(), /version_stale|_id\b/);
  await pressAndLoad(page, 'z');

  // A search that is refused.
  await page.goto(`${base}/cases`);
  await page.locator('#ref').fill('https://host-one.example/album');
  await page.locator('#ref').press('Enter');
  await isFocused(page, '#refusal');
  assert.equal(await page.inputValue('#url'), 'https://host-one.example/album');
  assert.equal(new URL(page.url()).search, '', 'the URL does not stay in the address bar');
  await page.locator('#url').fill('not a url');
  await page.locator('#url').press('Enter');
  await isFocused(page, '#refusal');
  assert.match(await page.locator('#url-url-error').innerText(), /not a complete URL/);
  assert.equal(await page.inputValue('#url'), 'not a url');
  await assertAccessible(page, 'refused-search');
  await context.close();
});

test('one key has one action on every page', async () => {
  const { context, page } = await visit();
  await signIn(page);
  const actions = new Map();
  const collect = async (path) => {
    await page.goto(base + path);
    const found = await page.locator('[data-shortcut][aria-keyshortcuts]').evaluateAll((elements) => elements.map((element) => [element.getAttribute('aria-keyshortcuts'), element.dataset.shortcut]));
    const listed = await page.locator('#keys tr[data-key]').evaluateAll((rows) => rows.map((row) => [row.dataset.key, row.dataset.action]));
    for (const [key, action] of [...found, ...listed]) {
      assert.equal(actions.get(key) ?? action, action, `${key} on ${path}`);
      actions.set(key, action);
    }
    assert.equal(new Set(listed.map(([key]) => key)).size, listed.length, `the list of ${path} has a key twice`);
  };
  const claimed = await claimNext(page);
  for (const [, path] of PAGES) await collect(path);
  for (const path of [`/queue/${claimed}`, `/cases/${claimed}`, `/cases/${overdueCase}`, '/providers/host-one', UNKNOWN_CASE]) await collect(path);
  assert.equal(new Set(actions.values()).size, actions.size, 'an action has two keys');
  assert.ok(actions.size > 25);

  // The help dialog lists the keys of the page and no others.
  await page.goto(`${base}/queue/${claimed}`);
  await press(page, '?');
  assert.ok(await page.locator('#page-keys tr[data-action=not-illegal]').isVisible());
  assert.ok(!(await page.locator('#page-keys tr[data-action=claim-next]').isVisible()));
  await page.keyboard.press('Escape');
  await pressAndLoad(page, 'z');
  await context.close();
});

test('a double press does not act on the next page', async () => {
  const { context, page } = await visit();
  await signIn(page, '/queue');
  await waitForKeys(page);
  const loaded = page.waitForEvent('load');
  await page.keyboard.press('n');
  for (const key of ['n', 'l', 'Enter']) await page.keyboard.press(key);
  await loaded;
  for (const key of ['n', 'l', 'Enter', 'z', 'h']) await page.keyboard.press(key);
  assert.match(page.url(), /\/queue\/[0-9a-f-]{36}$/);
  assert.equal(await page.locator('input[name=verdict]:checked').count(), 0);
  assert.equal(await page.locator('details[open]').count(), 0);
  // After a moment the keys work, and the key that claimed does nothing here.
  await press(page, 'n');
  assert.equal(await page.locator('input[name=verdict]:checked').count(), 0);
  await press(page, 'l');
  assert.ok(await page.locator('input[value=not-illegal]').isChecked());
  await pressAndLoad(page, 'z');
  await context.close();
});

test('keys work with Caps Lock and on layouts without Latin letters', async () => {
  const { context, page } = await visit();
  await signIn(page, '/queue');
  await claimNext(page);
  await waitForKeys(page);
  const chosen = () => page.locator('input[name=verdict]:checked').getAttribute('value');
  for (const [layout, key, code, value] of [
    ['Caps Lock', 'L', 'KeyL', 'not-illegal'],
    ['Cyrillic', 'ф', 'KeyA', 'category-a'],
    ['Cyrillic with Caps Lock', 'И', 'KeyB', 'category-b'],
    ['Greek', 'ψ', 'KeyC', 'category-c'],
    ['Hebrew', 'כ', 'KeyF', 'not-found'],
    ['Arabic', 'خ', 'KeyO', 'out-of-scope'],
    ['Turkish', 'İ', 'Quote', 'needs-information'],
    // On a Latin layout the character counts and not its position: Dvorak has l at the position of p.
    ['Dvorak', 'l', 'KeyP', 'not-illegal'],
  ]) {
    await pressOnLayout(page, key, code);
    assert.equal(await chosen(), value, layout);
  }
  // A French keyboard has & on the key of 1; shortcuts with Control stay the browser's.
  await page.evaluate(() => document.body.dispatchEvent(new KeyboardEvent('keydown', { key: '1', code: 'Digit1', ctrlKey: true, bubbles: true })));
  const loaded = page.waitForEvent('load');
  await pressOnLayout(page, '&', 'Digit2');
  await loaded;
  assert.equal(new URL(page.url()).pathname, '/queue');
  await context.close();
});

test('nothing is shown by colour alone', async () => {
  const { context, page } = await visit();
  await signIn(page, '/');
  await page.emulateMedia({ forcedColors: 'active' });
  // The current entry of the menu differs from the others.
  const underline = (selector) => page.locator(selector).first().evaluate((link) => getComputedStyle(link).borderBottomColor);
  assert.notEqual(await underline('nav a[aria-current]'), await underline('nav a:not([aria-current])'));
  // Alarms have a symbol: the system has an overdue notice.
  for (const path of ['/', '/providers', '/providers/host-one', '/shift']) {
    await page.goto(base + path);
    const alarms = await page.locator('.late').evaluateAll((elements) => elements.map((element) => element.innerText));
    if (path !== '/shift') assert.ok(alarms.length, `${path} has no alarm`);
    for (const text of alarms) assert.match(text, /!/, path);
  }
  // So have the states whose badges are coloured.
  for (const path of ['/queue', '/overdue', `/cases/${overdueCase}`]) {
    await page.goto(base + path);
    for (const text of await page.locator('.tag.waiting, .tag.good, .tag.bad').allInnerTexts()) assert.match(text, /^[…✓!] /, path);
  }
  await context.close();
});

test('everything works without scripts', async () => {
  const { context, page } = await visit({ javaScriptEnabled: false });
  await signIn(page, '/queue');
  await page.getByRole('button', { name: /Claim the most urgent/ }).click();
  await page.waitForURL(/\/queue\/[0-9a-f-]{36}/);
  const claimed = page.url();

  // A refused form stays in its page; its address, loaded again, leads to the page.
  await page.getByText('Put it on police hold').click();
  await page.locator('#hold-reason').fill('the police ask for time');
  await page.locator('#hold-until').fill('2020-01-01T00:00');
  await page.getByRole('button', { name: 'Put the case on police hold' }).click();
  await page.locator('#refusal').waitFor();
  assert.equal(await page.inputValue('#hold-reason'), 'the police ask for time');
  await page.goto(page.url());
  assert.equal(page.url(), claimed);

  await page.getByRole('radio', { name: /Second opinion/ }).check();
  await page.getByRole('button', { name: /Record, and stop/ }).click();
  await page.waitForURL(/recorded=second-opinion/);
  await page.getByRole('button', { name: /Sign out/ }).click();
  await page.waitForURL(/\/sign-in/);
  await context.close();
});

for (const width of [320, 360]) {
  test(`every page fits a window of ${width} px`, async () => {
    const { context, page } = await visit({ viewport: { width, height: 740 } });
    await page.goto(`${base}/sign-in`);
    await assertFits(page, 'sign-in');
    await signIn(page);
    const paths = [...PAGES.map(([, path]) => path), '/providers/host-one', `/cases/${overdueCase}`, `/queue/${overdueCase}`, UNKNOWN_CASE,
      '/cases?ref=https://host-one.example/a-path-that-is-far-too-long-for-a-narrow-window/and-goes-on'];
    for (const path of paths) {
      await page.goto(base + path);
      const name = `${width}${path.replace(/[^a-z0-9]+/g, '-')}`;
      await assertAccessible(page, name);
      await press(page, 'Escape');
      await page.keyboard.press('?');
      await page.locator('#keys[open]').waitFor();
      await assertFits(page, `${name} with its keys`);
      await page.keyboard.press('Escape');
    }
    const claimed = await claimNext(page);
    await assertAccessible(page, `${width}-decide`);
    for (const details of await page.locator('details').all()) await details.evaluate((element) => { element.open = true; });
    await assertFits(page, `${width}-decide with all forms open`);
    await page.locator('#hold-reason').fill('the police ask for time');
    await page.locator('#hold-until').fill('2020-01-01T00:00');
    await page.locator('#hold-reason').press('Enter');
    await isFocused(page, '#refusal');
    await assertAccessible(page, `${width}-refused`);
    await page.goto(`${base}/queue/${claimed}`);
    await pressAndLoad(page, 'z');
    await context.close();
  });
}

test('no page fetched from another site or broke its content policy', () => {
  assert.deepEqual([...new Set(faults)], []);
});
