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

  const { Trouble, Transfer, say, metadata, bytes, counted, shown } = sending;
  const AT_ONCE = 3;
  const SPEED_OVER_MS = 6_000;
  const KEPT_MS = 7 * 24 * 3600 * 1000;
  // Rows that the list shows; more of them would only slow the page down.
  const ROWS = 200;

  const here = decodeURIComponent(form.dataset.folder);
  const section = document.getElementById("uploads");
  const list = section.querySelector("ul");
  const total = section.querySelector(".total");
  const pauseAll = section.querySelector("[data-act=pause-all]");
  const blank = document.getElementById("upload-entry");
  let token = form.elements.csrf.value;
  const uploads = [];

  // Remembered across a reload: which upload on the server belongs to which file.

  const memory = Object.assign(sending.memoryOf("oncelink-uploads"), {
    keep(upload) {
      const { url, folder, place, size, modified, item } = upload;
      const until = Date.now() + KEPT_MS;
      const link = upload.drop?.link;
      this.change((all) => (all[upload.fingerprint] = { url, folder, place, size, modified, link, item, until }));
    },
  });

  // Requests.

  const send = (method, url, more = {}) => sending.send(method, url, { ...more, headers: { "X-CSRF-Token": token, ...more.headers } });

  /** Converts an unsuccessful response to an error. */
  async function refused(answer) {
    const trouble = sending.refused(answer);
    if (answer.status !== 401 && trouble.type !== "foreign-form") return trouble;
    // The person may have logged in in another tab; the page then has the new token.
    const before = token;
    await look();
    if (token !== before) return new Trouble("You are logged in again.", { passing: true });
    return new Trouble("You are logged out. Log in in another tab, then try again here.");
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

  // One upload.

  class Upload extends Transfer {
    verb = "uploaded";
    request = send;
    refusal = refused;

    /** `place` is the path within the folder of this page; `file` is null until it is chosen again. */
    constructor({ place, size, modified, folder = here, url = null, drop = null, item = null }, file) {
      super();
      Object.assign(this, { place, size, modified, folder, url, file, drop, item });
      this.fingerprint = fingerprint(this);
      this.state = file ? "waiting" : "unfinished";
      this.samples = [];
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

    /** The folder of the link may have been moved. */
    async mended(trouble) {
      return ["link-not-waiting", "not-found"].includes(trouble.type) && Boolean(await this.drop?.moved());
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
      const headers = { "Upload-Length": String(this.size), "Upload-Metadata": metadata(said) };
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

    advance(sent) {
      super.advance(sent);
      const now = performance.now();
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

    async rest(seconds, why, turn) {
      this.samples = [];
      await super.rest(seconds, why, turn);
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

    halt() {
      super.halt();
      this.samples = [];
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
      this.leave(this.row);
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
  const drops = globalThis.dropLinks?.({ here, send, token: () => token, look, queue: () => queue() }) ?? null;

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

  sending.prepareQueue(uploads, pauseAll);

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
  sending.preparePickers(tools, take);
  document.getElementById("upload").replaceWith(tools);

  sending.takeDrops(take);

  function span(seconds) {
    if (seconds < 60) return counted(Math.max(1, Math.ceil(seconds)), "second");
    if (seconds < 3600) return counted(Math.ceil(seconds / 60), "minute");
    return counted(Math.ceil(seconds / 3600), "hour");
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
