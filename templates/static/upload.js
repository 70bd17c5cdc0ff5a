// Uploads from a folder's page: files and whole folders, picked or dropped, several in parallel, with
// progress and pause. They continue after a lost connection, a reload or a crash.
//
// On the start page, what is dropped becomes one link (`sheet.js`).
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
  // Rows that the list shows; more of them would only slow the page down.
  const ROWS = 200;

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
    constructor(message, { passing = false, broken = false, gone = false, wait = 0, type = "" } = {}) {
      super(message);
      Object.assign(this, { passing, broken, gone, wait, type });
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
      const { url, folder, place, size, modified, item } = upload;
      const until = Date.now() + KEPT_MS;
      const link = upload.drop?.link;
      this.change((all) => (all[upload.fingerprint] = { url, folder, place, size, modified, link, item, until }));
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
    return new Trouble(problem.detail || `The server refused the upload (${status}).`, { passing, wait, type: problem.type, gone: status === 404 || status === 410 });
  }

  /** Fetches this page as it is now. */
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
    const fresh = old && (await look())?.getElementById("listing");
    if (!fresh || old.contains(document.activeElement)) return;
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
    if (address) return { address, page: answer.url, terms: termsOf(form) };
    if (page.querySelector("form[action='/login']")) throw new Trouble("You are logged out. Log in in another tab, then try again here.");
    const why = page.querySelector(".notice.failed") ?? page.querySelector("main p");
    throw new Trouble(why?.textContent.trim() || "The link was not created.");
  }

  /** The terms in a form, in words. */
  function termsOf(form) {
    const { uses, expires } = form.elements;
    const downloads = uses.value === "1" ? "One download" : uses.value ? counted(Number(uses.value), "download") : "Unlimited downloads";
    return `${downloads}, ${expires.value === "never" ? "never expires" : `expires ${expires.selectedOptions[0].text}`}.`;
  }

  const base64 = (text) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));

  // One upload.

  class Upload {
    /** `place` is the path within the folder of this page; `file` is null until it is chosen again. */
    constructor({ place, size, modified, folder = here, url = null, drop = null, item = null }, file) {
      Object.assign(this, { place, size, modified, folder, url, file, drop, item });
      this.fingerprint = fingerprint(this);
      this.state = file ? "waiting" : "unfinished";
      // Bytes sent, and bytes that the server is known to have.
      this.sent = this.held = 0;
      this.note = "";
      this.samples = [];
      this.turn = null;
      drop?.uploads.push(this);
      this.show();
    }

    /** Its row in the list; made when it is first shown. */
    get row() {
      if (this.made) return this.made;
      const row = (this.made = blank.content.firstElementChild.cloneNode(true));
      for (const element of row.querySelectorAll(".of")) element.textContent = shown(this.place);
      row.querySelector("progress").setAttribute("aria-label", `Upload of ${shown(this.place)}`);
      row.addEventListener("click", (event) => {
        const act = event.target.closest("[data-act]")?.dataset.act;
        if (act) this[act]();
      });
      return row;
    }

    /** Puts its row into the list, if there is room for it or somebody has to see it. */
    enlist() {
      if (this.isGone || this.made?.isConnected) return;
      if (list.childElementCount >= ROWS) {
        if (this.state !== "running" && this.state !== "failed") return;
        list.querySelector("[data-state=done]")?.remove();
      }
      // Uploads that wait for the person are listed below the running ones.
      list.insertBefore(this.row, this.file && list.querySelector("[data-state=unfinished]"));
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
          // The folder of the link may have been moved.
          if (["link-not-waiting", "not-found"].includes(trouble.type) && (await this.drop?.moved())) continue;
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
      const { drop, place } = this;
      const said = { folder: drop?.folder ?? this.folder, filename: place.split("/").at(-1), relativePath: drop?.within(place) ?? place };
      if (drop) Object.assign(said, { link: drop.link, item: String(this.item) });
      const metadata = Object.entries(said).map(([key, text]) => `${key} ${base64(text)}`).join();
      const headers = { "Upload-Length": String(this.size), "Upload-Metadata": metadata };
      const answer = await this.ask(turn, "POST", "/uploads", { headers });
      if (answer.status !== 201) throw await refused(answer);
      this.url = new URL(answer.getResponseHeader("Location"), location.href).pathname;
      this.arrived(answer);
      // A link's file may have been begun before: by an earlier page, or by a request whose answer was lost.
      this.sent = this.held = Number(answer.getResponseHeader("Upload-Offset")) || 0;
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
        this.shared ??= this.drop?.shared ?? (await makeLink(this.at));
        const made = this.row.querySelector(".made");
        made.querySelector("span").textContent = this.shared.terms;
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
      // A link for several files does without this one; one for a single file ends.
      if (this.drop) this.drop.leaveOut(this);
      // If this request doesn't arrive, the upload on the server expires.
      else if (this.url && this.state !== "done") send("DELETE", this.url).catch(() => {});
      this.discard();
    }

    /** Removes it from the page. */
    discard() {
      if (this.isGone) return;
      this.isGone = true;
      this.halt();
      memory.forget(this);
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
      this.drop?.changed();
      queue();
    }

    show() {
      const { state, size, sent } = this;
      this.enlist();
      if (!this.made) return;
      const [toggle, link, cancel] = this.row.querySelectorAll("button");
      toggle.firstElementChild.textContent = this.moving ? "Pause" : state === "failed" ? "Try again" : "Continue";
      toggle.hidden = state === "done" || state === "unfinished";
      cancel.hidden = state === "done";
      cancel.firstChild.data = this.drop?.count > 1 ? "Leave out" : "Cancel";
      link.hidden = state !== "done" || !this.at;
      // The link for all of them comes first.
      link.classList.toggle("primary", !this.drop);
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

  // On a page that makes links of what is dropped.
  const drops = globalThis.dropLinks?.({ here, send, say, shown, counted, Trouble, token: () => token, look, queue: () => queue() }) ?? null;

  // The queue.

  /** Starts waiting uploads, and shows the total progress. */
  function queue() {
    const running = uploads.filter((upload) => upload.state === "running").length;
    // Those of a drop wait for its link.
    const next = uploads.find((upload) => upload.state === "waiting" && (!upload.drop || upload.drop.link));
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

  function fingerprint({ folder = here, place, size, modified }) {
    return [folder, place, size, modified].join("\n");
  }

  /** Adds files; `found` contains them with their paths. */
  function take(found) {
    const known = new Map(uploads.filter((other) => other.state !== "done").map((other) => [other.fingerprint, other]));
    let fresh = found.map(({ file, place }) => ({ file, place, size: file.size, modified: file.lastModified }));
    fresh = fresh.map((one) => ({ ...one, fingerprint: fingerprint(one) }));
    fresh = fresh.filter((one) => {
      const same = known.get(one.fingerprint);
      if (!same) return true;
      // Chosen again: it continues where it stopped.
      same.file = one.file;
      if (!same.moving) same.continue();
      return false;
    });
    if (drops && fresh.length > 0) fresh = drops.sort(fresh);
    for (const one of fresh) {
      const upload = new Upload(one, one.file);
      uploads.push(upload);
      if (one.refused) upload.become("failed", one.refused);
    }
    if (found.length) say(`Uploading ${counted(found.length, "file")}.`);
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
    if (found.length === 0) say("There are no files in it.");
    take(found);
  });

  /** All files in a dropped folder. */
  async function gather(entry, within, found) {
    const place = within + entry.name;
    if (entry.isFile) {
      const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
      found.push({ file, place });
      if (found.length % 1000 === 0) say(`${counted(found.length, "file")} found so far.`);
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

  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length === 0) return;
    event.preventDefault();
    take(files.map((file) => ({ file, place: file.name })));
  });

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
      const answer = await send("HEAD", kept.url).catch(() => null);
      const sent = answer?.status === 200 ? Number(answer.getResponseHeader("Upload-Offset")) : null;
      // Unknown to the server, or of another person who uses this browser.
      if (sent === null || sent >= kept.size) continue;
      if (uploads.some((other) => other.fingerprint === fingerprint(kept))) continue;
      const drop = kept.link ? (drops?.of(kept.link) ?? null) : null;
      if (kept.link && !drop) continue;
      const upload = new Upload({ ...kept, drop }, null);
      upload.sent = upload.held = sent;
      uploads.push(upload);
      upload.show();
      summarise();
      say("Unfinished uploads are listed. Choose or drop the same files again to continue.");
    }
  })();
})();
