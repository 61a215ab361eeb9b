// Keys, the help about them, copying, and pausing a live page. Every page works without this file.
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

  const pause = document.getElementById('pause');
  if (pause) {
    let paused = false;
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

  // After a reveal the address is what the reader wants next.
  const revealed = document.getElementById('address');
  if (revealed) revealed.focus();
})();
