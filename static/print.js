// The buttons that print the page and copy a list.
'use strict';
(() => {
  for (const button of document.querySelectorAll('[data-print]')) {
    button.hidden = false;
    button.addEventListener('click', () => print());
  }
  for (const button of document.querySelectorAll('[data-copy]')) {
    if (!navigator.clipboard) continue;
    button.hidden = false;
    button.addEventListener('click', async () => {
      const lines = [...document.querySelectorAll(button.dataset.copy + ' > *')].map((e) => e.textContent.trim());
      await navigator.clipboard.writeText(lines.join('\n'));
      button.parentElement.querySelector('[role=status]').textContent = button.dataset.done;
    });
  }
})();
