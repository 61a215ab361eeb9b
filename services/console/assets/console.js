// Single keys and their list, copying, updated pages that stop, and drafts that survive the end of a session. Every page
// works without this file.
'use strict';

(() => {
  document.documentElement.classList.add('scripted');

  const SINGLE_KEYS = 'takedown-single-keys';
  const help = document.getElementById('keys');
  const toggle = document.getElementById('keys-on');
  const areSingleKeysOn = () => !toggle || toggle.checked;

  // Single keys can be turned off (WCAG 2.1.4); the browser remembers it where storage is allowed.
  if (toggle) {
    try { toggle.checked = localStorage.getItem(SINGLE_KEYS) !== 'off'; } catch { /* no storage: they are on */ }
    toggle.addEventListener('change', () => {
      try { localStorage.setItem(SINGLE_KEYS, toggle.checked ? 'on' : 'off'); } catch { /* valid for this page */ }
    });
  }

  // The page of a refused form is reached by the form's own address. With the page's address, loading it again does not
  // send the form again, and a URL in a search does not stay in the address bar.
  const address = document.getElementById('main').dataset.address;
  if (address) history.replaceState(null, '', address);

  // A key press is ignored while the browser is on its way to another page, and for a moment after a page is shown: the
  // second press of a hasty double press must not act on a page that the reader has not seen yet.
  const SETTLE_MS = 400;
  const LEAVE_TIMEOUT_MS = 15_000;
  let isSettled = false;
  const root = document.documentElement;
  const setSettled = (value) => {
    isSettled = value;
    root.dataset.keys = value ? 'ready' : 'off';
  };
  setSettled(false);
  const leave = () => {
    setSettled(false);
    // The reader may cancel, or the server may not respond.
    setTimeout(() => setSettled(true), LEAVE_TIMEOUT_MS);
  };
  addEventListener('pageshow', () => setTimeout(() => setSettled(true), SETTLE_MS));
  addEventListener('beforeunload', leave);
  document.addEventListener('submit', (event) => {
    if (event.target.method !== 'dialog') leave();
  });

  // Actions by key, from the help dialog. `/`, `?`, Escape and Enter are handled below.
  const rows = help ? [...help.querySelectorAll('tr[data-key]')] : [];
  const actions = new Map(rows.map((row) => [row.dataset.key, row.dataset.action]));
  const elementOf = (action) => document.querySelector(`[data-shortcut="${action}"]`);

  function openHelp() {
    const ofPage = rows.filter((row) => row.closest('#page-keys'));
    for (const row of ofPage) row.hidden = !elementOf(row.dataset.action);
    document.getElementById('page-keys').hidden = ofPage.every((row) => row.hidden);
    help.showModal();
  }
  document.getElementById('keys-open')?.addEventListener('click', openHelp);

  const isField = (element) => element.closest('input:not([type=radio]):not([type=checkbox]), textarea, select');
  const isButton = (element) => element.closest('button, a, summary, [type=radio], [type=checkbox]');

  // The character that was typed. Where a layout has no Latin letter or no digit on the key, the position of
  // the key counts: shortcuts work on a Greek or Cyrillic layout, and digits on a French one. Caps Lock does not matter.
  function keyOf(event) {
    if (event.key.length === 1) {
      const typed = event.key.toLowerCase()[0];
      if (/[a-z0-9/?]/.test(typed)) return typed;
    } else if (!/^(Dead|Process|Unidentified)$/.test(event.key)) {
      return '';
    }
    const position = /^(?:Key([A-Z])|(?:Digit|Numpad)([0-9]))$/.exec(event.code);
    if (position) return (position[1] ?? position[2]).toLowerCase();
    const isNonLatin = event.key.charCodeAt(0) > 127;
    return isNonLatin && event.code === 'Slash' ? (event.shiftKey ? '?' : '/') : '';
  }

  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.isComposing) return;
    if (event.getModifierState('AltGraph')) return;
    if (isField(event.target)) {
      if (event.key === 'Escape') event.target.blur();
      return;
    }
    if (!isSettled) {
      if (/^(Enter| )$/.test(event.key) && isButton(event.target)) event.preventDefault();
      return;
    }
    if ((help && help.open) || !areSingleKeysOn()) return;
    if (act(keyOf(event))) event.preventDefault();
  });

  function act(key) {
    if (key === '?') {
      if (help) openHelp();
      return Boolean(help);
    }
    if (key === '/') {
      const field = document.getElementById('ref');
      if (field) field.focus();
      else if (help) location.assign('/cases');
      return Boolean(field || help);
    }
    const element = actions.has(key) && elementOf(actions.get(key));
    if (!element) return false;
    if (element.matches('[type=radio]')) {
      // The key of a verdict only chooses it; Enter records it.
      element.checked = true;
      document.getElementById('record').focus();
    } else if (element.matches('summary')) {
      const details = element.parentElement;
      details.open = true;
      details.querySelector('input:not([type=hidden]), textarea')?.focus();
    } else {
      element.focus();
      if (!isField(element)) element.click();
    }
    return true;
  }

  for (const button of document.querySelectorAll('[data-copy]')) {
    button.addEventListener('click', async () => {
      const source = document.getElementById(button.dataset.copy);
      try {
        await navigator.clipboard.writeText(source.textContent);
        button.textContent = 'Copied';
      } catch {
        // Not allowed here: select it, so that the browser's own copy command works.
        getSelection().selectAllChildren(source);
      }
    });
  }

  // A form is sent once, however often its button is pressed.
  document.addEventListener('submit', (event) => {
    const form = event.target;
    if (form.method === 'dialog' || form.method === 'get') return;
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = 'yes';
    setTimeout(() => delete form.dataset.sent, LEAVE_TIMEOUT_MS);
  });
  addEventListener('pageshow', () => {
    for (const form of document.forms) delete form.dataset.sent;
  });

  let isPaused = false;
  const pause = document.getElementById('pause');
  if (pause) {
    pause.addEventListener('click', () => {
      // Updates that came while paused were dropped: loading the page again shows the present figures.
      if (isPaused) return location.reload();
      isPaused = true;
      pause.setAttribute('aria-pressed', 'true');
      pause.querySelector('span').textContent = 'Resume updates';
    });
    document.addEventListener('htmx:sse:before:message', (event) => {
      if (isPaused) event.detail.cancelled = true;
    });
  }

  // A page that is no longer updated shows an alert with the time of its figures.
  const updates = document.getElementById('updates');
  const stale = document.getElementById('stale');
  if (updates && stale) {
    const limit = Number(updates.dataset.staleAfter) * 1000;
    let newest = Date.now();
    document.addEventListener('htmx:sse:before:message', () => {
      newest = Date.now();
      stale.hidden = true;
    });
    setInterval(() => {
      if (isPaused || !stale.hidden || Date.now() - newest < limit) return;
      const since = new Date(newest).toISOString().slice(11, 19);
      const again = document.createElement('a');
      again.href = location.href;
      again.textContent = 'load it again';
      stale.replaceChildren(`This page stopped refreshing at ${since} UTC. Its figures are of that time. It reconnects by itself; you can also `, again, '.');
      stale.hidden = false;
    }, 500);
  }

  // What was typed into a form is kept in this tab while its session ends: after the sign-in it is restored on the form's
  // page for the same person, and removed on any other page.
  const DRAFT = 'takedown-draft';
  const person = document.querySelector('.staff-name')?.textContent;
  const isSignIn = document.querySelector('form[action="/sign-in"]');
  const isFormRefused = document.getElementById('form-refused');
  try {
    const draft = JSON.parse(sessionStorage.getItem(DRAFT) || 'null');
    if (draft && (isSignIn || isFormRefused)) {
      sessionStorage.setItem(DRAFT, JSON.stringify({ ...draft, isWaiting: true }));
    } else if (draft) {
      const isTheirs = draft.isWaiting && location.pathname === draft.page && draft.person === person;
      // Between the sign-in and its page the draft is kept.
      if (!draft.isWaiting || draft.person !== person || isTheirs) sessionStorage.removeItem(DRAFT);
      if (isTheirs) restore(draft);
    }
    document.addEventListener('submit', (event) => {
      const fields = [...event.target.querySelectorAll('[data-draft]')].map((field) => [field.id, field.value]);
      if (!fields.length) return;
      const page = location.pathname.replace(/\/reveal$/, '');
      sessionStorage.setItem(DRAFT, JSON.stringify({ page, fields, person }));
    });
  } catch { /* no storage: the text is lost with the session */ }

  function restore(draft) {
    const fields = draft.fields.map(([id, value]) => [document.getElementById(id), value]).filter(([field]) => field);
    for (const [field, value] of fields) {
      field.value = value;
      const details = field.closest('details');
      if (details) details.open = true;
    }
    if (fields.length) fields[0][0].focus();
  }

  // After a reveal the next thing needed is the URL.
  document.getElementById('revealed-url')?.focus();
})();
