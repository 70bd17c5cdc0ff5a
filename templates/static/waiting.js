// Follows an upload on the public page of its link, and loads the page again when the files can be downloaded.
(() => {
  "use strict";

  const place = document.getElementById("waiting");
  const arrived = document.getElementById("arrived");
  const bar = document.getElementById("arriving");
  let [wait, known, timer] = [2000, "", 0];

  const look = async () => {
    timer = 0;
    if (document.hidden) return;
    try {
      const headers = known ? { "if-none-match": known } : {};
      const answer = await fetch(place.dataset.state, { headers, redirect: "error" });
      if (answer.status === 404) return;
      if (answer.ok) {
        const { uploading } = await answer.json();
        // It is complete, or has ended: the page says which.
        if (!uploading) return location.reload();
        known = answer.headers.get("etag") || "";
        arrived.textContent = uploading.words;
        bar.value = uploading.arrived;
        wait = 2000;
      } else {
        wait = Math.min(wait * 1.3, 15000);
      }
    } catch {
      // The server or the network is unavailable; try again later.
      wait = Math.min(wait * 2, 30000);
    }
    next();
  };
  const next = () => {
    if (!timer && !document.hidden) timer = setTimeout(look, wait);
  };
  document.addEventListener("visibilitychange", next);
  next();
})();
