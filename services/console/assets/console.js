// Keys, the help about them, copying, live pages that stop, and what was written when a session ended. Every page works
// without this file.
'use strict';

(() => {
  document.documentElement.classList.add('scripted');

  const KEEP = 'takedown-single-keys';
  const help = document.getElementById('keys');
  const on = document.getElementById('keys-on');
  const singleKeys = () => !on || on.checked;

  // Single keys can be turned off (WCAG 2.1.4); the browser remembers it, where it may.
  if (on) {
    try { on.checked = localStorage.getItem(KEEP) !== 'off'; } catch { /* no storage: they are on */ }
    on.addEventListener('change', () => {
      try { localStorage.setItem(KEEP, on.checked ? 'on' : 'off'); } catch { /* holds for this page */ }
    });
  }
  const opener = document.getElementById('keys-open');
  if (opener) opener.addEventListener('click', () => help.showModal());

  const typing = (element) => element.closest('input:not([type=radio]):not([type=checkbox]), textarea, select');

  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.isComposing) return;
    if (typing(event.target)) {
      if (event.key === 'Escape') event.target.blur();
      return;
    }
    if ((help && help.open) || !singleKeys()) return;
    if (act(event.key)) event.preventDefault();
  });

  function act(key) {
    if (key === '?') {
      if (help) help.showModal();
      return Boolean(help);
    }
    if (key === '/') {
      const field = document.getElementById('ref');
      if (field) field.focus();
      else location.assign('/cases');
      return true;
    }
    if (!/^[a-z0-9]$/.test(key)) return false;
    // A verdict is chosen by its key and recorded by Enter: one slip of a finger decides nothing.
    const choice = document.querySelector(`[data-choose-key="${key}"]`);
    if (choice) {
      choice.checked = true;
      document.getElementById('record').focus();
      return true;
    }
    const fold = document.querySelector(`[data-open-key="${key}"]`);
    if (fold) {
      fold.open = true;
      const first = fold.querySelector('input:not([type=hidden]), textarea');
      if (first) first.focus();
      return true;
    }
    const field = document.querySelector(`[data-focus-key="${key}"]`);
    if (field) {
      field.focus();
      return true;
    }
    const target = document.querySelector(`[data-key="${key}"]`);
    if (target) {
      target.focus();
      target.click();
      return true;
    }
    return false;
  }

  for (const button of document.querySelectorAll('[data-copy]')) {
    button.addEventListener('click', async () => {
      const source = document.getElementById(button.dataset.copy);
      try {
        await navigator.clipboard.writeText(source.textContent);
        button.textContent = 'Copied';
      } catch {
        // Not allowed here: select it, so that the browser's own copy works.
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
  });
  addEventListener('pageshow', () => {
    for (const form of document.forms) delete form.dataset.sent;
  });

  let paused = false;
  const pause = document.getElementById('pause');
  if (pause) {
    pause.addEventListener('click', () => {
      // What came meanwhile was dropped: going on begins with what is true now.
      if (paused) return location.reload();
      paused = true;
      pause.setAttribute('aria-pressed', 'true');
      pause.firstChild.textContent = 'Go on with updates ';
    });
    document.addEventListener('htmx:sse:before:message', (event) => {
      if (paused) event.detail.cancelled = true;
    });
  }

  // A page that stopped refreshing says so, and since when: old figures must not look like new ones.
  const live = document.getElementById('live');
  const stale = document.getElementById('stale');
  if (live && stale) {
    const patience = Number(live.dataset.patience) * 1000;
    let newest = Date.now();
    document.addEventListener('htmx:sse:before:message', () => {
      newest = Date.now();
      stale.hidden = true;
    });
    setInterval(() => {
      if (paused || !stale.hidden || Date.now() - newest < patience) return;
      const since = new Date(newest).toISOString().slice(11, 19);
      const again = document.createElement('a');
      again.href = location.href;
      again.textContent = 'load it again';
      stale.replaceChildren(`This page stopped refreshing at ${since} UTC. What it shows is of then. It tries again by itself, or `, again, '.');
      stale.hidden = false;
    }, 500);
  }

  // What was written is not lost where a session ended over it: it waits in this tab, through the sign-in, for its own
  // page and its own writer, and for nothing else.
  const DRAFT = 'takedown-draft';
  const who = document.querySelector('.who')?.textContent;
  const form = document.querySelector('form[action="/sign-in"]');
  const refused = document.getElementById('form-refused');
  try {
    const draft = JSON.parse(sessionStorage.getItem(DRAFT) || 'null');
    if (draft && (form || refused)) {
      sessionStorage.setItem(DRAFT, JSON.stringify({ ...draft, waits: true }));
    } else if (draft) {
      const theirs = draft.waits && location.pathname === draft.page && draft.who === who;
      // On the way from the sign-in to its page it goes on waiting.
      if (!draft.waits || draft.who !== who || theirs) sessionStorage.removeItem(DRAFT);
      if (theirs) restore(draft);
    }
    document.addEventListener('submit', (event) => {
      const kept = [...event.target.querySelectorAll('[data-keep]')].map((field) => [field.id, field.value]);
      if (!kept.length) return;
      const page = location.pathname.replace(/\/reveal$/, '');
      sessionStorage.setItem(DRAFT, JSON.stringify({ page, kept, who }));
    });
  } catch { /* no storage: what was written is lost with the session */ }

  function restore(draft) {
    const fields = draft.kept.map(([id, value]) => [document.getElementById(id), value]).filter(([field]) => field);
    for (const [field, value] of fields) {
      field.value = value;
      const fold = field.closest('details');
      if (fold) fold.open = true;
    }
    if (fields.length) fields[0][0].focus();
  }

  // After a reveal the address is what the reader wants next.
  const revealed = document.getElementById('address');
  if (revealed) revealed.focus();
})();
