// Shows times in the viewer's time zone and language. Without this script they are in UTC, and say so.
(() => {
  "use strict";

  const format = new Intl.DateTimeFormat(navigator.languages, { dateStyle: "medium", timeStyle: "short" });
  const days = new Intl.DateTimeFormat(navigator.languages, { dateStyle: "medium" });
  const language = format.resolvedOptions().locale;

  const show = (time) => {
    const moment = new Date(time.dateTime);
    if (time.dataset.utc || Number.isNaN(moment.getTime())) return;
    time.dataset.utc = time.textContent;
    time.title ||= time.textContent;
    time.lang = language;
    const [day, whole] = [days.format(moment), format.format(moment)];
    time.textContent = whole;
    // A list on a phone has room for the day only.
    if (!time.closest(".listing") || !whole.startsWith(day)) return;
    const clock = document.createElement("span");
    clock.className = "clock";
    clock.textContent = whole.slice(day.length);
    time.replaceChildren(day, clock);
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
