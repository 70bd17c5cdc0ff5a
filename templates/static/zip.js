// Follows the preparation of a ZIP file, and presses the button again when it is ready. Without this script, people
// press it themselves.
(() => {
  "use strict";

  const form = document.getElementById("zip");
  const news = document.getElementById("news");
  let [wait, timer, done] = [1000, 0, false];

  const look = async () => {
    timer = 0;
    if (document.hidden || done) return;
    try {
      const answer = await fetch(form.dataset.state, { redirect: "error" });
      if (!answer.ok) return;
      const { preparing } = await answer.json();
      if (!preparing) {
        done = true;
        news.textContent = "The ZIP file is ready. Your download is starting…";
        return form.requestSubmit();
      }
      if (news.textContent !== preparing) news.textContent = preparing;
      wait = 1000;
    } catch {
      // The server or the network is unavailable; try again later.
      wait = Math.min(wait * 2, 30000);
    }
    next();
  };
  const next = () => {
    if (!timer && !document.hidden) timer = setTimeout(look, wait);
  };
  form.addEventListener("submit", () => { done = true; });
  document.addEventListener("visibilitychange", next);
  next();
})();
