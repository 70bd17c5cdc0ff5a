// Keeps the list of a link's deliveries up to date while somebody looks on. Without it the list is as
// it was when the page was loaded.
(() => {
  "use strict";

  const part = document.getElementById("deliveries");
  if (!part || !part.dataset.live) return;

  const soon = 2000;
  const later = 10000;
  // A page that nobody touches must not keep its session alive.
  const patience = 10 * 60 * 1000;
  let touched = Date.now();
  let waiting = 0;

  const look = async () => {
    waiting = 0;
    if (document.hidden || Date.now() - touched > patience) return;
    try {
      const answer = await fetch(part.dataset.live, { headers: { accept: "text/html" }, redirect: "error" });
      if (answer.status === 404 || answer.status === 401) return;
      if (answer.ok) {
        const html = await answer.text();
        if (html !== part.innerHTML) part.innerHTML = html;
      }
    } catch {
      // The server or the network is away; the next look will show. A log-out ends this by a redirect.
    }
    wait();
  };

  const wait = () => {
    if (waiting) return;
    const running = part.querySelector("[data-state=running], [data-state=broken]");
    waiting = setTimeout(look, running ? soon : later);
  };

  const touch = () => {
    touched = Date.now();
    wait();
  };
  for (const sign of ["pointermove", "keydown", "scroll", "visibilitychange"]) {
    document.addEventListener(sign, touch, { passive: true });
  }
  wait();
})();
