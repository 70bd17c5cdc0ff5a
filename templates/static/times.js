// Shows times in the viewer's time zone and language. Without this script they are in UTC, and say so.
(() => {
  "use strict";

  const format = new Intl.DateTimeFormat(navigator.languages, { dateStyle: "medium", timeStyle: "short" });
  const language = format.resolvedOptions().locale;

  const show = (time) => {
    const moment = new Date(time.dateTime);
    if (time.dataset.utc || Number.isNaN(moment.getTime())) return;
    time.dataset.utc = time.textContent;
    time.title ||= time.textContent;
    time.lang = language;
    time.textContent = format.format(moment);
  };
  const showIn = (part) => part.querySelectorAll("time[datetime]").forEach(show);

  // Parts of some pages are replaced while someone watches.
  new MutationObserver((changes) => {
    for (const added of changes.flatMap((change) => [...change.addedNodes])) {
      if (added instanceof Element) (added.matches("time[datetime]") ? show : showIn)(added);
    }
  }).observe(document.documentElement, { childList: true, subtree: true });
  showIn(document);
})();
