// Updates the public page of a link: what the buttons do, the progress of a download, and what was wrong with
// the last press. Without this script the page stays as it was when it was loaded.
(() => {
  "use strict";

  const form = document.getElementById("downloads");
  if (!form) return;
  const news = document.getElementById("news");
  const left = document.getElementById("left");
  // Password and code fields; `null` if neither is needed.
  const proofs = document.getElementById("proofs");
  const rows = [...form.querySelectorAll("li[data-file]")];

  // If each file counts separately without cookies, the page says so before the first press.
  const noCookies = document.getElementById("no-cookies");
  const soon = 1000;
  const longest = 30000;
  // After a press, someone is waiting for the download to start.
  const patience = 60 * 1000;
  let pressedAt = 0;
  let pressed = "";
  let wait = soon;
  let timer = 0;
  let known = "";
  // The ZIP file is being prepared; its button is pressed again when it is ready.
  let preparing = "preparing" in form.dataset;
  let busy = preparing || rows.some((row) => row.dataset.offer === "running");

  const say = (words) => {
    if (news.textContent === words) return;
    news.textContent = words;
    news.hidden = words === "";
    news.classList.toggle("done", words === "Your download is complete.");
  };

  const show = (row, state) => {
    row.dataset.offer = state.state;
    const status = row.querySelector(".how");
    if (status.textContent !== state.status) status.textContent = state.status;
    const button = row.querySelector("button");
    const does = button.querySelector(".does");
    const words = state.button || "";
    if (does.textContent !== words) does.textContent = words;
    button.hidden = words === "";
    if (!button.classList.contains("small")) {
      button.classList.toggle("primary", ["available", "starting", "interrupted"].includes(state.state));
    }
  };

  const askIfNeeded = () => {
    if (proofs) proofs.hidden = rows.every((row) => row.querySelector("button").hidden);
  };

  const follow = (state) => {
    const button = form.querySelector("button[value=zip]");
    if (state.zip_preparing) {
      say(state.zip_preparing);
      busy = true;
      return;
    }
    preparing = false;
    if (!button || button.hidden) return;
    if (proofs && !proofs.hidden) {
      say("The ZIP file is ready. Fill in the field below again, then press the button.");
      proofs.querySelector("input").focus();
    } else {
      form.requestSubmit(button);
    }
  };

  const apply = (state) => {
    if (noCookies) noCookies.hidden = state.keeps_cookie;
    if (state.closed) {
      say(`${state.closed}.`);
      left.textContent = "None";
      for (const row of rows) row.querySelector("button").hidden = true;
      askIfNeeded();
      busy = false;
      return;
    }
    left.textContent = state.left;
    const files = new Map(state.files.map((file) => [file.file, file]));
    busy = false;
    for (const row of rows) {
      const own = row.dataset.file === "zip" ? state.zip : files.get(row.dataset.file) || state.others;
      const before = row.dataset.offer;
      show(row, own);
      busy ||= own.state === "running";
      if (row.dataset.file !== pressed) continue;
      if (own.state === "running") say("Your download has started.");
      else if (own.state === "interrupted" && before === "running") say("Your download was interrupted. You can continue it.");
      else if (own.state === "downloaded") {
        say("Your download is complete.");
        pressedAt = 0;
      }
    }
    askIfNeeded();
    if (preparing) follow(state);
  };

  const look = async () => {
    timer = 0;
    if (document.hidden) return;
    try {
      const headers = known ? { "if-none-match": known } : {};
      const answer = await fetch(form.dataset.state, { headers, redirect: "error" });
      if (answer.status === 404) return;
      if (answer.ok) {
        known = answer.headers.get("etag") || "";
        apply(await answer.json());
        wait = soon;
      } else if (answer.status === 304) {
        // Nothing is new: a stalled download is checked less and less often.
        wait = preparing ? soon : Math.min(wait * 1.1, 10000);
      } else {
        wait = Math.min(wait * 2, longest);
      }
    } catch {
      // The server or the network is unavailable; try again later.
      wait = Math.min(wait * 2, longest);
    }
    next();
  };

  const next = () => {
    const waits = pressedAt && Date.now() - pressedAt < patience;
    if (!timer && !document.hidden && (busy || waits)) timer = setTimeout(look, wait);
  };

  const now = () => {
    clearTimeout(timer);
    wait = soon;
    timer = setTimeout(look, 0);
  };

  form.addEventListener("submit", (event) => {
    const button = event.submitter;
    // A view leads to another page.
    if (!button || button.name !== "file" || button.hasAttribute("formaction")) return;
    preparing = false;
    pressed = button.value;
    pressedAt = Date.now();
    // Earlier errors no longer matter; if this press fails, another page says so.
    for (const error of form.querySelectorAll(".field-error")) error.remove();
    for (const field of form.querySelectorAll("[aria-invalid]")) {
      const described = (field.getAttribute("aria-describedby") || "").split(" ");
      field.removeAttribute("aria-invalid");
      field.setAttribute("aria-describedby", described.filter((id) => document.getElementById(id)).join(" "));
    }
    for (const notice of document.querySelectorAll("main [role=alert]:not(#no-cookies)")) notice.remove();
    say("Starting your download…");
    // The form is sent with this button; another press right away would be another request.
    setTimeout(() => { button.disabled = true; }, 0);
    setTimeout(() => { button.disabled = false; }, 3000);
    clearTimeout(timer);
    wait = soon;
    timer = setTimeout(look, 300);
  });

  document.addEventListener("visibilitychange", () => { if (!document.hidden) now(); });
  window.addEventListener("pageshow", (event) => { if (event.persisted) now(); });
  if (noCookies) now();
  next();
})();
