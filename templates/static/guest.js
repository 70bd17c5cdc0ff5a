// Sends files from the public page of a file request: picked or dropped, also whole folders, several in
// parallel, with progress and pause. They continue after a lost connection, a reload or a restart of the server.
//
// Uses tus 1.0 (https://tus.io/protocols/resumable-upload) with /uploads. Before anything is sent again, the
// server is asked how much it has. The page works without this file; its form then sends the files.
"use strict";

(() => {
  const form = document.getElementById("guest-form");
  if (!form) return;

  const { Transfer, say, metadata, bytes, counted, shown } = sending;
  const AT_ONCE = 3;
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
  const blank = document.getElementById("upload-entry");
  const uploads = [];

  // Remembered across a reload: which upload on the server belongs to which file.

  const memory = Object.assign(sending.memoryOf(`oncelink-request-${request}`), {
    keep({ fingerprint, url, place, size, modified }) {
      this.change((all) => (all[fingerprint] = { url, place, size, modified, until: Date.now() + KEPT_MS }));
    },
  });

  const send = (method, url, more = {}) =>
    sending.send(method, url, { ...more, headers: { "X-CSRF-Token": token, "Upload-Request": request, ...more.headers } });

  /** An upload that the server no longer knows begins again. */
  function refused(answer) {
    const trouble = sending.refused(answer);
    trouble.gone = trouble.type === "not-found";
    return trouble;
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

  class Upload extends Transfer {
    verb = "sent";
    request = send;

    /** `place` is the name with its folders; `file` is null until it is chosen again. */
    constructor({ place, size, modified, url = null }, file) {
      super();
      Object.assign(this, { place, size, modified, url, file });
      this.fingerprint = [place, size, modified].join("\n");
      this.state = file ? "waiting" : "unfinished";
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

    /** Asks how much has arrived, or begins a new upload. */
    async open(turn) {
      await admitted();
      if (this.turn !== turn) return;
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
      const headers = { "Upload-Length": String(this.size), "Upload-Metadata": metadata(said) };
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

    refusal(answer) {
      const trouble = refused(answer);
      if (trouble.gone) {
        memory.forget(this);
        this.url = null;
        this.held = 0;
        trouble.passing = true;
      }
      return trouble;
    }

    finish() {
      memory.forget(this);
      this.become("done");
      say(`${shown(this.place)} has arrived.`);
    }

    cancel() {
      this.halt();
      memory.forget(this);
      // If this request doesn't arrive, the upload on the server expires.
      if (this.url && this.state !== "done") send("DELETE", this.url).catch(() => {});
      uploads.splice(uploads.indexOf(this), 1);
      this.leave(this.row);
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

  sending.prepareQueue(uploads, pauseAll);

  /** Adds files; `found` contains them with their paths. */
  function take(found) {
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
    }
    if (found.length) say(`Sending ${counted(found.length, "file")}.`);
    queue();
  }

  // Picking and dropping.

  const tools = document.getElementById("guest-tools").content.cloneNode(true);
  sending.preparePickers(tools, take);
  document.getElementById("plain-files").remove();
  document.getElementById("plain-send").remove();
  form.after(tools);
  form.addEventListener("submit", (event) => event.preventDefault());
  // A name that is typed after the first files counts for them, too.
  nameField.addEventListener("change", () => token && admitted().catch((trouble) => say(trouble.message)));

  sending.takeDrops(take);

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
