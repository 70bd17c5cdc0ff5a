// Uploads from a folder's page: files and whole folders, picked or dropped, several in parallel, with
// progress and pause. They continue after a lost connection, a reload or a crash.
//
// Uses tus 1.0 (https://tus.io/protocols/resumable-upload) with /uploads. Before anything is sent again,
// the server is asked how much it has. The page works without this file; its form then sends the files.
"use strict";

(() => {
  const form = document.getElementById("upload-form");
  if (!form) return;

  const AT_ONCE = 3;
  // A request never takes so long that the session could end during it.
  const PORTION = 16 * 1024 * 1024;
  // A size that every proxy allows: the strictest common limit is 1 MiB.
  const SMALL_PORTION = 512 * 1024;
  let portion = PORTION;
  // Seconds before each retry; after that, the person has to act.
  const WAITS = [1, 2, 4, 8, 15, 30, 30, 30];
  // A connection without progress for this long counts as lost.
  const STALLED_MS = 60_000;
  const SPEED_OVER_MS = 6_000;
  const KEPT_MS = 7 * 24 * 3600 * 1000;

  const here = decodeURIComponent(form.dataset.folder);
  const section = document.getElementById("uploads");
  const list = section.querySelector("ul");
  const total = section.querySelector(".total");
  const pauseAll = section.querySelector("[data-act=pause-all]");
  const news = document.getElementById("upload-news");
  const blank = document.getElementById("upload-entry");
  let token = form.elements.csrf.value;
  const uploads = [];

  /** Why an upload stopped. Temporary problems are retried. */
  class Trouble extends Error {
    constructor(message, { passing = false, broken = false, gone = false, wait = 0 } = {}) {
      super(message);
      Object.assign(this, { passing, broken, gone, wait });
    }
  }

  /** Announces something to people who can't see the progress. */
  function say(text) {
    news.textContent = text;
  }

  // Remembered across a reload: which upload on the server belongs to which file.

  const memory = {
    KEY: "oncelink-uploads",
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
    keep(upload) {
      const { url, folder, place, size, modified } = upload;
      const until = Date.now() + KEPT_MS;
      this.change((all) => (all[upload.fingerprint] = { url, folder, place, size, modified, until }));
    },
    forget(upload) {
      this.change((all) => delete all[upload.fingerprint]);
    },
  };

  // Requests.

  /** Sends a request and returns the response, even a refusal; throws if the connection is lost. */
  function send(method, url, { headers = {}, body = null, progress = () => {}, started = () => {} } = {}) {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      request.open(method, url);
      const all = { Accept: "application/json", "X-CSRF-Token": token, "Tus-Resumable": "1.0.0", ...headers };
      for (const [name, value] of Object.entries(all)) request.setRequestHeader(name, value);
      let stalled;
      const alive = () => {
        clearTimeout(stalled);
        stalled = setTimeout(() => request.abort(), STALLED_MS);
      };
      const broken = () => reject(new Trouble("The connection was lost.", { passing: true, broken: true }));
      request.upload.onprogress = (event) => {
        alive();
        progress(event.loaded);
      };
      request.onload = () => resolve(request);
      request.onerror = request.onabort = broken;
      request.onloadend = () => clearTimeout(stalled);
      started(request);
      alive();
      request.send(body);
    });
  }

  /** Converts an unsuccessful response to an error. */
  async function refused(answer) {
    const { status } = answer;
    let problem = {};
    try {
      problem = JSON.parse(answer.responseText);
    } catch {
      // It has no body, or something between us and the app answered.
    }
    if (status === 401 || problem.type === "foreign-form") {
      // The person may have logged in in another tab; the page then has the new token.
      const before = token;
      await look();
      if (token !== before) return new Trouble("You are logged in again.", { passing: true });
      return new Trouble("You are logged out. Log in in another tab, then try again here.");
    }
    const wait = Number(answer.getResponseHeader("Retry-After")) || 0;
    // Data of an earlier request was still arriving.
    if (problem.type === "wrong-offset") return new Trouble("The server is still processing the last part.", { passing: true });
    const passing = [408, 423, 429, 460].includes(status) || (status >= 500 && status !== 507);
    return new Trouble(problem.detail || `The server refused the upload (${status}).`, { passing, wait, gone: status === 404 || status === 410 });
  }

  /** Fetches the folder's current page. */
  async function look() {
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      token = page.getElementById("upload-form")?.elements.csrf.value ?? token;
      return page;
    } catch {
      return null;
    }
  }

  /** Shows what is new in the folder, unless the person is about to press something there. */
  async function showNew() {
    const old = document.getElementById("listing");
    const fresh = (await look())?.getElementById("listing");
    if (!fresh || !old || old.contains(document.activeElement)) return;
    const ticked = new Set([...old.querySelectorAll("input.pick:checked")].map((box) => box.value));
    const now = document.importNode(fresh, true);
    for (const box of now.querySelectorAll("input.pick")) box.checked = ticked.has(box.value);
    old.replaceWith(now);
  }

  // While more uploads are running, finished files are shown every few seconds.
  let showing = null;
  function showSoon() {
    showing ??= setTimeout(() => showNew().finally(() => (showing = null)), 2000);
  }

  /** Creates a link by sending the form for links as it is proposed. Returns the link's address and page. */
  async function makeLink(file) {
    const read = async (answer) => new DOMParser().parseFromString(await answer.text(), "text/html");
    const headers = { Accept: "text/html" };
    const blank = await read(await fetch(`/links/new?file_encoded=${encodeURIComponent(file)}`, { headers }));
    const form = blank.querySelector("form[action='/links']");
    const body = form && new URLSearchParams(new FormData(form));
    const answer = body && (await fetch("/links", { method: "POST", headers, body }));
    const page = answer ? await read(answer) : blank;
    const address = page.querySelector("[data-copy]")?.dataset.copy;
    if (address) return { address, page: answer.url };
    if (page.querySelector("form[action='/login']")) throw new Trouble("You are logged out. Log in in another tab, then try again here.");
    const why = page.querySelector(".notice.failed") ?? page.querySelector("main p");
    throw new Trouble(why?.textContent.trim() || "The link was not created.");
  }

  const base64 = (text) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));

  // One upload.

  class Upload {
    /** `place` is the path within the folder of this page; `file` is null until it is chosen again. */
    constructor({ place, size, modified, folder = here, url = null }, file) {
      Object.assign(this, { place, size, modified, folder, url, file });
      this.fingerprint = [folder, place, size, modified].join("\n");
      this.state = file ? "waiting" : "unfinished";
      // Bytes sent, and bytes that the server is known to have.
      this.sent = this.held = 0;
      this.note = "";
      this.samples = [];
      this.turn = null;
      this.row = blank.content.firstElementChild.cloneNode(true);
      for (const element of this.row.querySelectorAll(".of")) element.textContent = shown(place);
      this.row.querySelector("progress").setAttribute("aria-label", `Upload of ${shown(place)}`);
      this.row.addEventListener("click", (event) => {
        const act = event.target.closest("[data-act]")?.dataset.act;
        if (act) this[act]();
      });
      // Uploads that wait for the person are listed below the running ones.
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
          await this.open(turn);
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
            say(`${shown(this.place)} was not uploaded: ${trouble.message}`);
            return;
          }
          await this.rest(wait, trouble.message, turn);
        }
      }
    }

    /** Queries how much of the upload has arrived, or begins a new one. */
    async open(turn) {
      this.url ??= memory.all()[this.fingerprint]?.url ?? null;
      if (this.url) {
        try {
          this.sent = this.held = await this.offset(turn);
          return;
        } catch (trouble) {
          if (!trouble.gone) throw trouble;
          memory.forget(this);
          this.url = null;
        }
      }
      this.sent = this.held = 0;
      // The server creates the folders in a path.
      const said = { folder: this.folder, filename: this.place.split("/").at(-1), relativePath: this.place };
      const metadata = Object.entries(said).map(([key, text]) => `${key} ${base64(text)}`).join();
      const headers = { "Upload-Length": String(this.size), "Upload-Metadata": metadata };
      const answer = await this.ask(turn, "POST", "/uploads", { headers });
      if (answer.status !== 201) throw await refused(answer);
      this.url = new URL(answer.getResponseHeader("Location"), location.href).pathname;
      this.arrived(answer);
      memory.keep(this);
    }

    async offset(turn) {
      const answer = await this.ask(turn, "HEAD", this.url);
      if (answer.status !== 200 && answer.status !== 204) throw await refused(answer);
      this.arrived(answer);
      return Number(answer.getResponseHeader("Upload-Offset"));
    }

    /** Stores the name and the path that the complete file got, because its own may have been taken. */
    arrived(answer) {
      const place = answer.getResponseHeader("Content-Location");
      if (!place) return;
      this.got = decodeURIComponent(place.split("/").at(-1));
      // As forms carry it.
      this.at = place.replace(/^\/files/, "");
    }

    async sendPortion(turn) {
      const start = this.sent;
      const piece = this.file.slice(start, start + portion);
      if (this.samples.length === 0) this.samples.push([performance.now(), start]);
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
      if (answer.status !== 204) throw await refused(answer);
      this.arrived(answer);
      this.held = Number(answer.getResponseHeader("Upload-Offset"));
      this.advance(this.held);
    }

    /** A request that ends when the upload is paused. */
    ask(turn, method, url, more = {}) {
      const started = (request) => (turn.request = request);
      return send(method, url, { ...more, started });
    }

    advance(sent) {
      const now = performance.now();
      this.note = "";
      this.sent = sent;
      this.samples.push([now, sent]);
      while (this.samples.length > 2 && now - this.samples[0][0] > SPEED_OVER_MS) this.samples.shift();
    }

    /** Bytes per second, as far as known. */
    get speed() {
      const first = this.samples[0];
      // Measured until now, not until the last progress: a stalled connection gets slower and slower.
      const seconds = first ? (performance.now() - first[0]) / 1000 : 0;
      return seconds > 0.5 ? Math.max(0, this.sent - first[1]) / seconds : 0;
    }

    /** Waits before the next attempt, or until the browser says that it is online again. */
    async rest(seconds, why, turn) {
      this.samples = [];
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
      say(`${shown(this.place)} was uploaded.`);
      if (uploads.some((upload) => upload.moving)) showSoon();
    }

    /** Creates a link to the file with the usual terms, once, and copies it. */
    async link() {
      const button = this.row.querySelector("[data-act=link]");
      if (button.disabled) return;
      button.disabled = true;
      try {
        this.shared ??= await makeLink(this.at);
        const made = this.row.querySelector(".made");
        made.querySelector("code").textContent = this.shared.address;
        made.querySelector("a").href = this.shared.page;
        made.hidden = false;
        await navigator.clipboard?.writeText(this.shared.address);
        this.label(navigator.clipboard ? "Copied" : "Link created");
        say(navigator.clipboard ? "The link was copied." : "The link was created.");
      } catch (trouble) {
        // The link is shown, so it can be copied by hand.
        const why = trouble instanceof Trouble ? trouble.message : this.shared ? "Copying isn’t allowed here." : "The connection was lost. Try again.";
        this.row.querySelector(".detail").textContent = why;
        say(why);
      } finally {
        button.disabled = false;
        button.focus();
      }
    }

    /** Shows a word on the button for a moment. */
    label(word) {
      const label = this.row.querySelector("[data-act=link] span");
      label.textContent = word;
      setTimeout(() => (label.textContent = "Copy link"), 3000);
    }

    /** Cancels the current request. */
    halt() {
      const turn = this.turn;
      this.turn = null;
      turn?.request?.abort();
      turn?.hurry?.();
      this.samples = [];
    }

    toggle() {
      if (this.moving) this.pause();
      else this.continue();
    }

    pause() {
      this.halt();
      this.become("paused");
    }

    continue() {
      this.become("waiting");
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
      say(`The upload of ${shown(this.place)} was canceled.`);
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
      const [toggle, link, cancel] = this.row.querySelectorAll("button");
      toggle.firstElementChild.textContent = this.moving ? "Pause" : state === "failed" ? "Try again" : "Continue";
      toggle.hidden = state === "done" || state === "unfinished";
      cancel.hidden = state === "done";
      link.hidden = state !== "done" || !this.at;
      this.row.dataset.state = state;
      const bar = this.row.querySelector("progress");
      bar.value = state === "done" ? 1 : size ? sent / size : 0;
      this.row.querySelector(".detail").textContent = this.words();
    }

    words() {
      const { state, size, sent, speed, note, got } = this;
      const done = `${bytes(sent)} of ${bytes(size)}`;
      if (state === "waiting") return `${bytes(size)} · waiting`;
      if (state === "paused") return `${done} · paused`;
      if (state === "done") {
        const renamed = got && got !== this.place.split("/").at(-1);
        return renamed ? `${bytes(size)} · uploaded as ${shown(got)} because that name was taken` : `${bytes(size)} · uploaded`;
      }
      if (state === "failed") return note;
      if (state === "unfinished") {
        return `${sent ? `${done} uploaded` : `${bytes(size)} · just started`}. Choose the same file again to resume.`;
      }
      if (note) return `${done} · ${note}`;
      if (sent >= size) return `${bytes(size)} · saving`;
      if (!speed) return done;
      return `${done} · ${bytes(speed)}/s · ${span((size - sent) / speed)} left`;
    }
  }

  // The queue.

  /** Starts waiting uploads, and shows the total progress. */
  function queue() {
    const running = uploads.filter((upload) => upload.state === "running").length;
    const next = uploads.find((upload) => upload.state === "waiting");
    // Starting an upload calls this again.
    if (next && running < AT_ONCE) next.run();
    else summarise();
  }

  let busy = false;
  let ticker = null;
  function summarise() {
    section.hidden = uploads.length === 0;
    const known = uploads.filter((upload) => upload.state !== "unfinished");
    const done = known.filter((upload) => upload.state === "done").length;
    const moving = uploads.some((upload) => upload.moving);
    const sent = known.reduce((sum, upload) => sum + upload.sent, 0);
    const size = known.reduce((sum, upload) => sum + upload.size, 0);
    total.textContent = known.length ? `${done} of ${counted(known.length, "file")} uploaded, ${bytes(sent)} of ${bytes(size)}` : "";
    pauseAll.hidden = !moving && !uploads.some((upload) => upload.state === "paused");
    pauseAll.textContent = moving ? "Pause all" : "Continue all";
    if (moving && !ticker) {
      ticker = setInterval(() => {
        for (const upload of uploads) if (upload.state === "running") upload.show();
        summarise();
      }, 500);
    }
    if (!moving && busy) {
      clearInterval(ticker);
      ticker = null;
      const failed = known.filter((upload) => upload.state === "failed").length;
      if (known.length === done) say(`All done: ${counted(done, "file")} uploaded.`);
      else if (failed) say(`${done} of ${counted(known.length, "file")} uploaded, ${failed} failed.`);
      if (done) showNew();
    }
    busy = moving;
  }

  pauseAll.addEventListener("click", () => {
    const moving = uploads.some((upload) => upload.moving);
    for (const upload of [...uploads]) {
      if (moving && upload.moving) upload.pause();
      else if (!moving && upload.state === "paused") upload.continue();
    }
  });

  /** Adds files; `found` contains them with their paths. */
  function take(found) {
    let fresh = 0;
    for (const { file, place } of found) {
      const upload = new Upload({ place, size: file.size, modified: file.lastModified }, file);
      const same = uploads.find((other) => other.fingerprint === upload.fingerprint && other.state !== "done");
      if (same) {
        // Chosen again: it continues where it stopped.
        upload.row.remove();
        same.file = file;
        if (!same.moving) same.continue();
      } else {
        uploads.push(upload);
      }
      fresh += 1;
    }
    if (fresh) say(`Uploading ${counted(fresh, "file")}.`);
    queue();
  }

  // Picking and dropping.

  const tools = document.getElementById("upload-tools").content.cloneNode(true);
  for (const button of tools.querySelectorAll("[data-picks]")) {
    const input = tools.getElementById(button.dataset.picks);
    button.hidden = button.dataset.picks === "pick-folder" && !("webkitdirectory" in input);
    button.addEventListener("click", () => input.click());
    input.addEventListener("change", () => {
      take([...input.files].map((file) => ({ file, place: file.webkitRelativePath || file.name })));
      input.value = "";
    });
  }
  document.getElementById("upload").replaceWith(tools);

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

  function span(seconds) {
    if (seconds < 60) return counted(Math.max(1, Math.ceil(seconds)), "second");
    if (seconds < 3600) return counted(Math.ceil(seconds / 60), "minute");
    return counted(Math.ceil(seconds / 3600), "hour");
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
    for (const kept of Object.values(memory.all())) {
      if (kept.folder !== here) continue;
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
      say("Unfinished uploads are listed. Choose or drop the same files again to continue.");
    }
  })();
})();
