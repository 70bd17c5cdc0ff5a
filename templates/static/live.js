// Updates the changing parts of a page while someone watches. Without this script they stay as they were when
// the page was loaded.
(() => {
  "use strict";

  const place = document.querySelector("[data-live]");
  if (!place) return;

  const soon = 1000;
  const longest = 30000;
  // A page that nobody uses must not keep its session alive.
  const patience = 10 * 60 * 1000;
  let touched = Date.now();
  let timer = 0;
  let wait = soon;
  let known = "";

  // Times are shown in the viewer's time zone.
  const plain = (part) =>
    part.innerHTML.replace(/<time.*?<\/time>/gs, (time) => time.match(/datetime="[^"]*"/)?.[0] ?? time);

  const replace = (html) => {
    const fresh = new DOMParser().parseFromString(html, "text/html");
    const parts = new Map([...fresh.querySelectorAll("[data-part]")].map((part) => [part.dataset.part, part]));
    for (const part of document.querySelectorAll("[data-part]")) {
      const other = parts.get(part.dataset.part);
      if (other && plain(other) !== plain(part)) part.innerHTML = other.innerHTML;
    }
  };

  const look = async () => {
    timer = 0;
    if (document.hidden || Date.now() - touched > patience) return;
    try {
      const headers = { accept: "text/html" };
      if (known) headers["if-none-match"] = known;
      const answer = await fetch(place.dataset.live, { headers, redirect: "error" });
      if (answer.status === 404 || answer.status === 401) return;
      if (answer.ok) {
        known = answer.headers.get("etag") || "";
        replace(await answer.text());
      }
      wait = answer.ok || answer.status === 304 ? soon : Math.min(wait * 2, longest);
    } catch {
      // The server or the network is unavailable; try again later. A logout ends this with a redirect.
      wait = Math.min(wait * 2, longest);
    }
    next();
  };

  const next = () => {
    if (!timer && !document.hidden) timer = setTimeout(look, wait);
  };

  const touch = () => {
    touched = Date.now();
    next();
  };
  for (const sign of ["pointermove", "keydown", "scroll", "visibilitychange"]) {
    document.addEventListener(sign, touch, { passive: true });
  }
  next();
})();
