// What all pages that send files have in common: requests of the upload protocol tus 1.0
// (https://tus.io/protocols/resumable-upload), the sending of one file with retries, what is remembered across a
// reload, picking and dropping, and words. `upload.js`, `sheet.js` and `guest.js` build on it.
"use strict";

globalThis.sending = (() => {
  // A request never takes so long that the session could end during it.
  let portion = 16 * 1024 * 1024;
  // A size that every proxy allows: the strictest common limit is 1 MiB.
  const SMALL_PORTION = 512 * 1024;
  // Seconds before each retry; after that, the person has to act.
  const WAITS = [1, 2, 4, 8, 15, 30, 30, 30];
  // A connection without progress for this long counts as lost.
  const STALLED_MS = 60_000;

  /** Why an upload stopped. Temporary problems are retried. */
  class Trouble extends Error {
    // `more` may have: `passing`, `broken`, `gone`, `wait` in seconds, and the `type` of a problem document.
    constructor(message, more) {
      super(message);
      Object.assign(this, more);
    }
  }

  /** Announces something to people who can't see the progress. */
  function say(text) {
    document.getElementById("upload-news").textContent = text;
  }

  /** What is remembered across a reload, until its time is over. */
  const memoryOf = (key) => ({
    all() {
      try {
        const all = JSON.parse(localStorage.getItem(key)) ?? {};
        return Object.fromEntries(Object.entries(all).filter(([, one]) => one.until > Date.now()));
      } catch {
        return {};
      }
    },
    change(change) {
      const all = this.all();
      change(all);
      try {
        localStorage.setItem(key, JSON.stringify(all));
      } catch {
        // Without storage, an upload still lives as long as its page.
      }
    },
    forget({ fingerprint }) {
      this.change((all) => delete all[fingerprint]);
    },
  });

  /** Sends a request and returns the response, even a refusal; throws if the connection is lost. */
  function send(method, url, { headers, body, progress, started } = {}) {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      request.open(method, url);
      const all = { Accept: "application/json", "Tus-Resumable": "1.0.0", ...headers };
      for (const [name, value] of Object.entries(all)) request.setRequestHeader(name, value);
      let stalled;
      const alive = () => {
        clearTimeout(stalled);
        stalled = setTimeout(() => request.abort(), STALLED_MS);
      };
      const broken = () => reject(new Trouble("The connection was lost.", { passing: true, broken: true }));
      request.upload.onprogress = (event) => {
        alive();
        progress?.(event.loaded);
      };
      request.onload = () => resolve(request);
      request.onerror = request.onabort = broken;
      request.onloadend = () => clearTimeout(stalled);
      started?.(request);
      alive();
      request.send(body);
    });
  }

  /** Converts an unsuccessful response to an error. */
  function refused(answer) {
    const { status } = answer;
    let [type, detail] = ["", ""];
    try {
      ({ type, detail } = JSON.parse(answer.responseText));
    } catch {
      // It has no body, or something between us and the app answered.
    }
    const wait = Number(answer.getResponseHeader("Retry-After")) || 0;
    // Data of an earlier request was still arriving.
    if (type === "wrong-offset") return new Trouble("The server is still processing the last part.", { passing: true });
    const passing = [408, 423, 429, 460].includes(status) || (status >= 500 && status !== 507);
    return new Trouble(detail || `The server refused the file (${status}).`, { passing, wait, type, gone: status === 404 || status === 410 });
  }

  const base64 = (text) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));

  /** The header `Upload-Metadata`. */
  const metadata = (said) => Object.entries(said).map(([key, text]) => `${key} ${base64(text)}`).join();

  // A file that is sent in portions. A page extends it with `open` (asks how much has arrived, or begins), `request`
  // (sends one request), `refusal` (its error), `become`, `show`, `finish` and `verb`; and if it needs them, `mended`
  // (whether the reason for an error has been removed) and `arrived` (reads where the complete file is).
  class Transfer {
    constructor() {
      // Bytes sent, and bytes that the server is known to have.
      this.sent = this.held = 0;
      this.note = "";
      this.turn = null;
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
          if (await this.mended?.(trouble)) continue;
          fruitless = this.held > best ? 1 : fruitless + 1;
          best = this.held;
          this.sent = this.held;
          // Some proxies hang up on requests that are too large instead of answering.
          if (trouble.broken && fruitless > 1) portion = SMALL_PORTION;
          const wait = trouble.wait || WAITS[fruitless - 1];
          if (!trouble.passing || !wait) {
            this.become("failed", trouble.message);
            return say(`${shown(this.place)} was not ${this.verb}: ${trouble.message}`);
          }
          await this.rest(wait, trouble.message, turn);
        }
      }
    }

    async sendPortion(turn) {
      const start = this.sent;
      const piece = this.file.slice(start, start + portion);
      this.advance(start);
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
      if (answer.status !== 204) throw await this.refusal(answer);
      this.arrived?.(answer);
      this.held = Number(answer.getResponseHeader("Upload-Offset"));
      this.advance(this.held);
    }

    /** A request that ends when the upload is paused. */
    ask(turn, method, url, more = {}) {
      return this.request(method, url, { ...more, started: (request) => (turn.request = request) });
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

    /** Cancels the current request. */
    halt() {
      const turn = this.turn;
      this.turn = null;
      turn?.request?.abort();
      turn?.hurry?.();
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

    /** Takes its row out of the list, and the focus to the next one. */
    leave(row) {
      const next = row.nextElementSibling ?? row.previousElementSibling;
      const focused = row.contains(document.activeElement);
      row.remove();
      if (focused) (next?.querySelector("button:not([hidden])") ?? document.getElementById("content")).focus();
    }
  }

  /** Prepares the buttons in `tools` that open the browser's dialogs. */
  function preparePickers(tools, take) {
    for (const button of tools.querySelectorAll("[data-picks]")) {
      const input = tools.getElementById(button.dataset.picks);
      button.hidden = button.dataset.picks === "pick-folder" && !("webkitdirectory" in input);
      button.addEventListener("click", () => input.click());
      input.addEventListener("change", () => {
        take([...input.files].map((file) => ({ file, place: file.webkitRelativePath || file.name })));
        input.value = "";
      });
    }
  }

  /** Takes files and folders that are dropped or pasted anywhere on the page. */
  function takeDrops(take) {
    const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
    let depth = 0;
    const hover = (change) => {
      depth = Math.max(0, depth + change);
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
      hover(-depth);
      // The items are gone as soon as this function awaits anything.
      const dropped = [...event.dataTransfer.items].filter((item) => item.kind === "file").map((item) => ({ entry: item.webkitGetAsEntry?.(), file: item.getAsFile() }));
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
    document.addEventListener("paste", (event) => {
      const files = [...(event.clipboardData?.files ?? [])];
      if (files.length === 0) return;
      event.preventDefault();
      take(files.map((file) => ({ file, place: file.name })));
    });
  }

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

  /** Makes one button pause and continue all uploads, and asks before the page is left while some are moving. */
  function prepareQueue(uploads, pauseAll) {
    const isMoving = () => uploads.some((upload) => upload.moving);
    pauseAll.addEventListener("click", () => {
      const moving = isMoving();
      for (const upload of [...uploads]) {
        if (moving && upload.moving) upload.pause();
        else if (!moving && upload.state === "paused") upload.continue();
      }
    });
    window.addEventListener("beforeunload", (event) => {
      if (isMoving()) event.preventDefault();
    });
  }

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

  return { Trouble, Transfer, say, memoryOf, send, refused, metadata, preparePickers, takeDrops, prepareQueue, bytes, counted, shown };
})();
