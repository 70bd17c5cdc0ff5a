// Sends files from the public page of a file request: picked or dropped, also whole folders, several in
// parallel, with progress and pause. They continue after a lost connection, a reload or a restart of the server.
//
// Uses tus 1.0 (https://tus.io/protocols/resumable-upload) with /uploads. Before anything is sent again, the
// server is asked how much it has. The page works without this file; its form then sends the files.
"use strict";

(() => {
  const form = document.getElementById("guest-form");
  if (!form) return;

  const AT_ONCE = 3;
  const PORTION = 16 * 1024 * 1024;
  // A size that every proxy allows: the strictest common limit is 1 MiB.
  const SMALL_PORTION = 512 * 1024;
  let portion = PORTION;
  // Seconds before each retry; after that, the person has to act.
  const WAITS = [1, 2, 4, 8, 15, 30, 30, 30];
  // A connection without progress for this long counts as lost.
  const STALLED_MS = 60_000;
  const KEPT_MS = 8 * 24 * 3600 * 1000;

  const { request, ticket } = form.dataset;
  let token = form.dataset.token;
  const nameField = form.elements.name;
  let toldName = nameField.value.trim();
  const section = document.getElementById("uploads");
  const list = section.querySelector("ul");
  const total = section.querySelector(".total");
  const thanks = document.getElementById("all-sent");
  const pauseAll = section.querySelector("[data-act=pause-all]");
  const news = document.getElementById("upload-news");
  const blank = document.getElementById("upload-entry");
  const uploads = [];

  class Trouble extends Error {
    constructor(message, { passing = false, broken = false, gone = false, wait = 0 } = {}) {
      super(message);
      Object.assign(this, { passing, broken, gone, wait });
    }
  }

  /** Announces something to people who can't see the progress. */
  const say = (text) => (news.textContent = text);

  // Remembered across a reload: which upload on the server belongs to which file.

  const memory = {
    KEY: `oncelink-request-${request}`,
    all() {
      try {
        const all = JSON.parse(localStorage.getItem(this.KEY)) ?? {};
        return Object.fromEntries(Object.entries(all).filter(([, one]) => one.until > Date.now()));
      } catch {
        return {};
      }
    },
    change(change) {
      const all = this.all();
      change(all);
      try {
        localStorage.setItem(this.KEY, JSON.stringify(all));
      } catch {
        // Without storage, an upload still lives as long as its page.
      }
    },
    keep({ fingerprint, url, place, size, modified }) {
      this.change((all) => (all[fingerprint] = { url, place, size, modified, until: Date.now() + KEPT_MS }));
    },
    forget({ fingerprint }) {
      this.change((all) => delete all[fingerprint]);
    },
  };

  /** Sends a request and returns the response, even a refusal; throws if the connection is lost. */
  function send(method, url, { headers = {}, body = null, progress = () => {}, started = () => {} } = {}) {
    return new Promise((resolve, reject) => {
      const asked = new XMLHttpRequest();
      asked.open(method, url);
      const own = { Accept: "application/json", "X-CSRF-Token": token, "Upload-Request": request, "Tus-Resumable": "1.0.0" };
      for (const [name, value] of Object.entries({ ...own, ...headers })) asked.setRequestHeader(name, value);
      let stalled;
      const alive = () => {
        clearTimeout(stalled);
        stalled = setTimeout(() => asked.abort(), STALLED_MS);
      };
      const broken = () => reject(new Trouble("The connection was lost.", { passing: true, broken: true }));
      asked.upload.onprogress = (event) => {
        alive();
        progress(event.loaded);
      };
      asked.onload = () => resolve(asked);
      asked.onerror = asked.onabort = broken;
      asked.onloadend = () => clearTimeout(stalled);
      started(asked);
      alive();
      asked.send(body);
    });
  }

  /** Converts an unsuccessful response to an error. */
  function refused(answer) {
    const { status } = answer;
    let problem = {};
    try {
      problem = JSON.parse(answer.responseText);
    } catch {
      // It has no body, or something between us and the app answered.
    }
    const wait = Number(answer.getResponseHeader("Retry-After")) || 0;
    if (problem.type === "wrong-offset") return new Trouble("The server is still processing the last part.", { passing: true });
    const passing = [408, 423, 429, 460].includes(status) || (status >= 500 && status !== 507);
    // An upload that the server no longer knows begins again.
    const gone = problem.type === "not-found";
    return new Trouble(problem.detail || `The server refused the file (${status}).`, { passing, wait, gone });
  }

  // The ticket: asked for once, before the first file, and again when the name changes.

  let asking = null;
  function admitted() {
    const name = nameField.value.trim();
    if (token && name === toldName) return Promise.resolve();
    asking ??= (async () => {
      const body = new URLSearchParams({ csrf: form.elements.csrf.value, name });
      const type = { "Content-Type": "application/x-www-form-urlencoded" };
      const answer = await send("POST", ticket, { headers: type, body });
      if (answer.status !== 200) throw refused(answer);
      token = JSON.parse(answer.responseText).csrf;
      toldName = name;
    })().finally(() => (asking = null));
    return asking;
  }

  const base64 = (text) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));

  class Upload {
    /** `place` is the name with its folders; `file` is null until it is chosen again. */
    constructor({ place, size, modified, url = null }, file) {
      Object.assign(this, { place, size, modified, url, file });
      this.fingerprint = [place, size, modified].join("\n");
      this.state = file ? "waiting" : "unfinished";
      // Bytes sent, and bytes that the server is known to have.
      this.sent = this.held = 0;
      this.note = "";
      this.turn = null;
      this.row = blank.content.firstElementChild.cloneNode(true);
      for (const element of this.row.querySelectorAll(".of")) element.textContent = shown(place);
      this.row.querySelector("progress").setAttribute("aria-label", `Sending ${shown(place)}`);
      this.row.addEventListener("click", (event) => {
        const act = event.target.closest("[data-act]")?.dataset.act;
        if (act) this[act]();
      });
      // Files that wait for the person are listed below the others.
      list.insertBefore(this.row, file && list.querySelector("[data-state=unfinished]"));
      this.show();
    }

    get moving() {
      return this.state === "waiting" || this.state === "running";
    }

    async run() {
      const turn = (this.turn = {});
      this.become("running");
      let [fruitless, best] = [0, this.held];
      while (this.turn === turn) {
        try {
          await admitted();
          if (this.turn === turn) await this.open(turn);
          while (this.sent < this.size && this.turn === turn) await this.sendPortion(turn);
          if (this.turn === turn) this.finish();
          return;
        } catch (trouble) {
          if (this.turn !== turn) return;
          fruitless = this.held > best ? 1 : fruitless + 1;
          best = this.held;
          this.sent = this.held;
          // Some proxies hang up on requests that are too large instead of answering.
          if (trouble.broken && fruitless > 1) portion = SMALL_PORTION;
          const wait = trouble.wait || WAITS[fruitless - 1];
          if (!trouble.passing || !wait) {
            this.become("failed", trouble.message);
            say(`${shown(this.place)} was not sent: ${trouble.message}`);
            return;
          }
          await this.rest(wait, trouble.message, turn);
        }
      }
    }

    /** Asks how much has arrived, or begins a new upload. */
    async open(turn) {
      this.url ??= memory.all()[this.fingerprint]?.url ?? null;
      if (this.url) {
        const found = await this.offset(turn);
        if (found !== null) {
          this.sent = this.held = found;
          return;
        }
        memory.forget(this);
        this.url = null;
      }
      this.sent = this.held = 0;
      const said = { filename: this.place.split("/").at(-1), relativePath: this.place };
      const metadata = Object.entries(said).map(([key, text]) => `${key} ${base64(text)}`).join();
      const headers = { "Upload-Length": String(this.size), "Upload-Metadata": metadata };
      const answer = await this.ask(turn, "POST", "/uploads", { headers });
      if (answer.status !== 201) throw refused(answer);
      this.url = new URL(answer.getResponseHeader("Location"), location.href).pathname;
      memory.keep(this);
    }

    /** How many bytes the server has; null if it doesn't know the upload. */
    async offset(turn) {
      const answer = await this.ask(turn, "HEAD", this.url);
      // The answer to HEAD has no body that says more.
      if ([401, 404, 410].includes(answer.status)) return null;
      if (answer.status !== 200 && answer.status !== 204) throw refused(answer);
      return Number(answer.getResponseHeader("Upload-Offset"));
    }

    async sendPortion(turn) {
      const start = this.sent;
      const piece = this.file.slice(start, start + portion);
      const answer = await this.ask(turn, "PATCH", this.url, {
        headers: { "Upload-Offset": String(start), "Content-Type": "application/offset+octet-stream" },
        body: piece,
        progress: (loaded) => this.turn === turn && this.advance(start + loaded),
      });
      // A proxy limits request bodies. If the app refuses, it says why.
      const isOurs = answer.getResponseHeader("Content-Type")?.startsWith("application/problem+json");
      if (answer.status === 413 && !isOurs && piece.size > SMALL_PORTION) {
        portion = SMALL_PORTION;
        this.advance(start);
        return;
      }
      if (answer.status !== 204) {
        const trouble = refused(answer);
        if (trouble.gone) {
          memory.forget(this);
          this.url = null;
          this.held = 0;
          trouble.passing = true;
        }
        throw trouble;
      }
      this.held = Number(answer.getResponseHeader("Upload-Offset"));
      this.advance(this.held);
    }

    /** A request that ends when the upload is paused. */
    ask(turn, method, url, more = {}) {
      return send(method, url, { ...more, started: (asked) => (turn.asked = asked) });
    }

    advance(sent) {
      this.note = "";
      this.sent = sent;
    }

    /** Waits before the next attempt, or until the browser says that it is online again. */
    async rest(seconds, why, turn) {
      this.note = `${why.replace(/\.$/, "")}. Trying again in ${counted(seconds, "second")}.`;
      say(`${shown(this.place)}: ${this.note}`);
      this.show();
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, seconds * 1000);
        turn.hurry = () => {
          clearTimeout(timer);
          resolve();
        };
        window.addEventListener("online", turn.hurry, { once: true });
      });
    }

    finish() {
      memory.forget(this);
      this.become("done");
      say(`${shown(this.place)} has arrived.`);
    }

    /** Cancels the current request. */
    halt() {
      const turn = this.turn;
      this.turn = null;
      turn?.asked?.abort();
      turn?.hurry?.();
    }

    toggle() {
      if (this.moving) this.pause();
      else this.become("waiting");
    }

    pause() {
      this.halt();
      this.become("paused");
    }

    cancel() {
      this.halt();
      memory.forget(this);
      // If this request doesn't arrive, the upload on the server expires.
      if (this.url && this.state !== "done") send("DELETE", this.url).catch(() => {});
      uploads.splice(uploads.indexOf(this), 1);
      const next = this.row.nextElementSibling ?? this.row.previousElementSibling;
      const focused = this.row.contains(document.activeElement);
      this.row.remove();
      if (focused) (next?.querySelector("button:not([hidden])") ?? document.getElementById("content")).focus();
      say(`${shown(this.place)} is not sent.`);
      queue();
    }

    become(state, note = "") {
      this.state = state;
      this.note = note;
      this.show();
      queue();
    }

    show() {
      const { state, size, sent } = this;
      const [toggle, cancel] = this.row.querySelectorAll("button");
      toggle.firstElementChild.textContent = this.moving ? "Pause" : state === "failed" ? "Try again" : "Continue";
      toggle.hidden = state === "done" || state === "unfinished";
      cancel.hidden = state === "done";
      this.row.dataset.state = state;
      this.row.querySelector("progress").value = state === "done" ? 1 : size ? sent / size : 0;
      this.row.querySelector(".detail").textContent = this.words();
    }

    words() {
      const { state, size, sent, note } = this;
      const done = `${bytes(sent)} of ${bytes(size)}`;
      if (state === "waiting") return `${bytes(size)} · waiting`;
      if (state === "paused") return `${done} · paused`;
      if (state === "done") return `${bytes(size)} · arrived`;
      if (state === "failed") return note;
      if (state === "unfinished") return `${done} arrived. Choose the same file again to continue.`;
      if (note) return `${done} · ${note}`;
      return sent >= size ? `${bytes(size)} · saving` : done;
    }
  }

  /** Starts waiting uploads, and shows the total progress. */
  function queue() {
    const running = uploads.filter((upload) => upload.state === "running").length;
    const next = uploads.find((upload) => upload.state === "waiting");
    // Starting an upload calls this again.
    if (next && running < AT_ONCE) next.run();
    else summarise();
  }

  let ticker = null;
  function summarise() {
    section.hidden = uploads.length === 0;
    const known = uploads.filter((upload) => upload.state !== "unfinished");
    const done = known.filter((upload) => upload.state === "done").length;
    const moving = uploads.some((upload) => upload.moving);
    const sent = known.reduce((sum, upload) => sum + upload.sent, 0);
    const size = known.reduce((sum, upload) => sum + upload.size, 0);
    total.textContent = known.length ? `${done} of ${counted(known.length, "file")}, ${bytes(sent)} of ${bytes(size)}` : "";
    pauseAll.hidden = !moving && !uploads.some((upload) => upload.state === "paused");
    pauseAll.textContent = moving ? "Pause all" : "Continue all";
    thanks.hidden = !uploads.length || uploads.some((upload) => upload.state !== "done");
    if (moving && !ticker) {
      ticker = setInterval(() => {
        for (const upload of uploads) if (upload.state === "running") upload.show();
        summarise();
      }, 500);
    }
    if (!moving && ticker) {
      clearInterval(ticker);
      ticker = null;
    }
  }

  pauseAll.addEventListener("click", () => {
    const moving = uploads.some((upload) => upload.moving);
    for (const upload of [...uploads]) {
      if (moving && upload.moving) upload.pause();
      else if (!moving && upload.state === "paused") upload.become("waiting");
    }
  });

  /** Adds files; `found` contains them with their paths. */
  function take(found) {
    for (const { file, place } of found) {
      const upload = new Upload({ place, size: file.size, modified: file.lastModified }, file);
      const same = uploads.find((other) => other.fingerprint === upload.fingerprint && other.state !== "done");
      if (same) {
        // Chosen again: it continues where it stopped.
        upload.row.remove();
        same.file = file;
        if (!same.moving) same.become("waiting");
      } else {
        uploads.push(upload);
      }
    }
    if (found.length) say(`Sending ${counted(found.length, "file")}.`);
    queue();
  }

  // Picking and dropping.

  const tools = document.getElementById("guest-tools").content.cloneNode(true);
  for (const button of tools.querySelectorAll("[data-picks]")) {
    const input = tools.getElementById(button.dataset.picks);
    button.hidden = button.dataset.picks === "pick-folder" && !("webkitdirectory" in input);
    button.addEventListener("click", () => input.click());
    input.addEventListener("change", () => {
      take([...input.files].map((file) => ({ file, place: file.webkitRelativePath || file.name })));
      input.value = "";
    });
  }
  document.getElementById("plain-files").remove();
  document.getElementById("plain-send").remove();
  form.after(tools);
  form.addEventListener("submit", (event) => event.preventDefault());
  // A name that is typed after the first files counts for them, too.
  nameField.addEventListener("change", () => token && admitted().catch((trouble) => say(trouble.message)));

  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  let depth = 0;
  const hover = (change) => {
    depth = change === 0 ? 0 : Math.max(0, depth + change);
    document.body.classList.toggle("dropping", depth > 0);
  };
  document.addEventListener("dragenter", (event) => hasFiles(event) && hover(1));
  document.addEventListener("dragleave", (event) => hasFiles(event) && hover(-1));
  document.addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
  });
  document.addEventListener("drop", async (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    hover(0);
    // The items are gone as soon as this function awaits anything.
    const items = [...event.dataTransfer.items].filter((item) => item.kind === "file");
    const dropped = items.map((item) => ({ entry: item.webkitGetAsEntry?.(), file: item.getAsFile() }));
    const found = [];
    for (const { entry, file } of dropped) {
      try {
        if (entry?.isDirectory) await gather(entry, "", found);
        else if (file) found.push({ file, place: file.name });
      } catch {
        say(`${shown(entry.name)} can't be read.`);
      }
    }
    take(found);
  });
  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length) take(files.map((file) => ({ file, place: file.name })));
  });

  /** All files in a dropped folder. */
  async function gather(entry, within, found) {
    const place = within + entry.name;
    if (entry.isFile) {
      const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
      found.push({ file, place });
      return;
    }
    const reader = entry.createReader();
    for (;;) {
      // Browsers return a hundred at a time; an empty result is the end.
      const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
      if (some.length === 0) return;
      for (const child of some) await gather(child, `${place}/`, found);
    }
  }

  window.addEventListener("beforeunload", (event) => {
    if (uploads.some((upload) => upload.moving)) event.preventDefault();
  });

  // The same wording as in the rest of the app.

  function bytes(count) {
    if (count < 1000) return counted(Math.round(count), "byte");
    let unit = -1;
    do {
      count /= 1000;
      unit += 1;
    } while (count >= 999.5);
    return `${count < 99.95 ? count.toFixed(1) : Math.round(count)} ${["kB", "MB", "GB", "TB", "PB"][unit]}`;
  }

  function counted(count, what) {
    return `${count.toLocaleString("en")} ${what}${count === 1 ? "" : "s"}`;
  }

  /** A name without characters that could disguise it. */
  function shown(name) {
    return name.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, "\ufffd");
  }

  // Uploads from before a reload that the server still has.

  (async () => {
    if (!token) return;
    for (const kept of Object.values(memory.all())) {
      const upload = new Upload(kept, null);
      upload.row.remove();
      const sent = await upload.offset({}).catch(() => null);
      // Unknown to the server, or of another person who uses this browser.
      if (sent === null || sent >= kept.size) continue;
      if (uploads.some((other) => other.fingerprint === upload.fingerprint)) continue;
      upload.sent = upload.held = sent;
      uploads.push(upload);
      list.append(upload.row);
      upload.show();
      summarise();
      say("Unfinished files are listed. Choose or drop the same files again to continue.");
    }
  })();
})();
