// What is dropped on the start page becomes one link, which is there before the files: this script creates it,
// shows its sheet (address, QR code, terms), and keeps in mind which files belong to it, so that an upload that
// was interrupted continues when the same files are dropped again. `upload.js` sends the files.
"use strict";

globalThis.dropLinks = (page) => {
  const host = document.getElementById("sheets");
  if (!host) return null;
  const { send } = page;
  const { Trouble, say, counted, shown } = sending;
  const KEPT_MS = 7 * 24 * 3600 * 1000;
  const NAME_MAX = 255;

  /** Which files belong to which link, for pages that are loaded later. */
  const memory = sending.memoryOf("oncelink-drops");

  /** 53 bits of a text (cyrb53), to recognize a file among those of a drop. */
  function mark(text) {
    let [a, b] = [0xdeadbeef, 0x41c6ce57];
    for (let at = 0; at < text.length; at += 1) {
      const code = text.charCodeAt(at);
      a = Math.imul(a ^ code, 2654435761);
      b = Math.imul(b ^ code, 1597334677);
    }
    a = Math.imul(a ^ (a >>> 16), 2246822507) ^ Math.imul(b ^ (b >>> 13), 3266489909);
    b = Math.imul(b ^ (b >>> 16), 2246822507) ^ Math.imul(a ^ (a >>> 13), 3266489909);
    return (4294967296 * (2097151 & b) + (a >>> 0)).toString(36);
  }

  const read = async (answer) => new DOMParser().parseFromString(await answer.text(), "text/html");

  /** Asks for a sheet; throws what the app said instead. */
  async function sheetOf(address, options = {}) {
    let answer;
    try {
      answer = await fetch(address, { headers: { Accept: "text/html" }, ...options });
    } catch {
      throw new Trouble("The connection was lost. Try again.", { passing: true });
    }
    const html = await read(answer);
    const sheet = html.querySelector(".sheet");
    if (sheet) return document.importNode(sheet, true);
    if (html.querySelector("form[action='/login']")) throw new Trouble("You are logged out. Log in in another tab, then try again here.");
    throw new Trouble(html.querySelector("main p")?.textContent.trim() || "The link was not created.", { gone: answer.status === 404 });
  }

  const form = (fields) => new URLSearchParams({ csrf: page.token(), ...fields });

  /** What was dropped at once, and its link. */
  class Drop {
    constructor(link = null) {
      this.link = link;
      this.folder = "";
      this.uploads = [];
      // Files that the link will do without.
      this.skipped = 0;
      this.element = document.createElement("div");
      host.prepend(this.element);
      this.element.addEventListener("submit", (event) => this.submit(event));
      this.element.addEventListener("click", (event) => {
        const act = event.target.closest("[data-act]")?.dataset.act;
        if (act) this[act]();
      });
    }

    /** Creates the link for files that were just dropped. */
    async begin(found) {
      const tops = [...new Set(found.map(({ place }) => place.split("/")[0]))];
      const isFolder = tops.length === 1 && found[0].place.includes("/");
      this.count = found.length;
      this.order = { files: found.length, items: tops.length, name: tops[0] };
      if (isFolder) this.order.folder = "yes";
      // Two equal drops are two links.
      this.order.drop = mark(`${Date.now()} ${Math.random()} ${found[0].place}`);
      // The folder of the link takes the place of a folder that was dropped alone.
      this.within = (place) => (isFolder ? place.slice(tops[0].length + 1) : place);
      this.know(found.map(({ fingerprint }) => mark(fingerprint)));
      await this.create();
    }

    async create() {
      this.element.replaceChildren(this.note("Creating the link …"));
      try {
        // The person may have logged in again in another tab. After a lost connection, the very same form is sent
        // again, and makes no second link.
        if (this.wasRefused) await page.look();
        this.adopt(await sheetOf("/links/uploading", { method: "POST", body: form(this.order) }));
      } catch (trouble) {
        this.wasRefused = !trouble.passing;
        const again = document.createElement("button");
        Object.assign(again, { type: "button", className: "button small", textContent: "Try again" });
        again.dataset.act = "create";
        const note = this.note(`${trouble.message} Your files are not uploaded yet. `);
        note.classList.add("failed");
        note.append(again);
        this.element.replaceChildren(note);
        say(trouble.message);
        return;
      }
      const { link, folder, count, marks } = this;
      const isFolder = Boolean(this.order.folder);
      memory.change((all) => (all[link] = { here: page.here, folder, count, marks, isFolder, top: this.order.name, until: Date.now() + KEPT_MS }));
      say("The link is ready. You can copy it while the files are uploaded.");
      page.queue();
    }

    /** Continues what an earlier page began. */
    revive({ folder, count, marks, isFolder, top }) {
      Object.assign(this, { folder, count, isRevived: true });
      this.know(marks);
      this.within = (place) => (isFolder ? place.slice(top.length + 1) : place);
    }

    know(marks) {
      this.marks = marks;
      this.items = new Map(marks.map((sign, item) => [sign, item]));
    }

    note(text) {
      const note = document.createElement("p");
      note.className = "notice";
      note.textContent = text;
      return note;
    }

    /** Shows the sheet in its present state. */
    adopt(sheet) {
      this.link = sheet.dataset.link;
      if (sheet.dataset.folder) this.folder = decodeURIComponent(sheet.dataset.folder);
      this.waits = sheet.dataset.folder !== "";
      // What arrived before this page was loaded.
      this.base ??= Number(sheet.dataset.arrived);
      if (!this.waits) memory.change((all) => delete all[this.link]);
      // The fields of a page have their names once: only the newest sheet is open.
      for (const other of drops) if (other !== this) other.fold();
      this.element.replaceChildren(sheet);
      globalThis.prepareLinks(this.element);
      this.show();
    }

    /** Leaves only the title, the state and the two buttons. */
    fold() {
      const sheet = this.element.querySelector(".sheet:not(.folded)");
      if (!sheet) return;
      const buttons = sheet.querySelector(".actions");
      sheet.classList.add("folded");
      sheet.querySelector("h2").removeAttribute("id");
      sheet.removeAttribute("aria-labelledby");
      sheet.replaceChildren(sheet.querySelector(".sheet-head"), ...(buttons ? [buttons] : []));
    }

    /** Brings the sheet up to date; what somebody is typing or about to press stays. */
    async refresh() {
      try {
        const sheet = await sheetOf(`/links/${this.link}/sheet`);
        const shownSheet = this.element.querySelector(".sheet");
        const isFolded = shownSheet?.classList.contains("folded");
        if (!shownSheet || (sheet.dataset.ended && !isFolded)) return this.adopt(sheet);
        if (sheet.dataset.folder) this.folder = decodeURIComponent(sheet.dataset.folder);
        this.waits = sheet.dataset.folder !== "";
        if (isFolded) sheet.querySelector("h2").removeAttribute("id");
        for (const part of [".sheet-head", ".mailed-to"]) {
          const [old, fresh] = [shownSheet.querySelector(part), sheet.querySelector(part)];
          if (old && fresh) old.replaceWith(fresh);
        }
        if (!this.waits) {
          for (const gone of shownSheet.querySelectorAll("[data-act], .sheet-trouble")) gone.remove();
          memory.change((all) => delete all[this.link]);
        }
        this.show();
      } catch {
        // It stays as it was.
      }
    }

    /** Asks where the files belong now, and returns whether that is elsewhere than before. */
    async moved() {
      const before = this.folder;
      await this.refresh();
      return this.waits && this.folder !== before;
    }

    get done() {
      return this.uploads.filter((upload) => upload.state === "done").length;
    }

    /** Shows how far the files are, and what can be done about those that failed. */
    show() {
      const state = this.element.querySelector(".sheet-state");
      if (!state || !this.waits || (this.uploads.length === 0 && !this.isRevived)) return;
      const arrived = Math.max(this.done, this.base ?? 0);
      state.textContent = `Uploading, ${arrived.toLocaleString("en")} of ${counted(this.count - this.skipped, "file")}`;
      if (this.isRevived && !this.uploads.some((upload) => upload.moving)) state.textContent += ". To continue, drop the same files again.";
      const failed = this.uploads.filter((upload) => upload.state === "failed").length;
      const trouble = this.element.querySelector(".sheet-trouble");
      if (!trouble) return;
      trouble.hidden = failed === 0;
      trouble.querySelector("span").textContent = `${counted(failed, "file")} ${failed === 1 ? "was" : "were"} not uploaded. Try again below, or:`;
      trouble.querySelector("button").hidden = this.uploads.some((upload) => upload.moving) || this.done === 0;
    }

    /** Called when an upload of this drop has a new state. */
    changed() {
      this.show();
      const open = this.uploads.filter((upload) => upload.state !== "done");
      if (open.length > 0 || this.uploads.length === 0 || this.isEnding || !this.link) return;
      this.isEnding = true;
      this.end().finally(() => (this.isEnding = false));
    }

    /** Everything that is to be there is there. */
    async end() {
      if (this.skipped > 0 && this.done + this.skipped >= this.count) await this.post("settle");
      await this.refresh();
      if (!this.waits) say("All files are there: the link works.");
    }

    async post(action) {
      await fetch(`/links/${this.link}/${action}`, { method: "POST", body: form({}), headers: { Accept: "text/html" } }).catch(() => {});
    }

    /** The link does without an upload. */
    async leaveOut(upload) {
      if (this.uploads.length === 1 && this.skipped + 1 >= this.count) return this.cancel();
      this.uploads.splice(this.uploads.indexOf(upload), 1);
      this.skipped += 1;
      if (upload.url) await send("DELETE", `${upload.url}?leave-out`).catch(() => {});
      this.changed();
    }

    /** The link does without all files that failed. */
    settle() {
      for (const upload of this.uploads.filter((upload) => upload.state === "failed")) upload.cancel();
    }

    /** Ends the upload, and the link with it. */
    async cancel() {
      const open = this.uploads.filter((upload) => upload.state !== "done");
      this.uploads = this.uploads.filter((upload) => upload.state === "done");
      for (const upload of open) upload.discard();
      if (!this.link) {
        drops.splice(drops.indexOf(this), 1);
        this.element.remove();
        return;
      }
      const begun = open.filter((upload) => upload.url);
      for (const { url } of begun) await send("DELETE", url).catch(() => {});
      if (begun.length === 0) await this.post("revoke");
      await this.refresh();
      say("The upload was canceled, and its link has ended.");
      page.queue();
    }

    async submit(event) {
      event.preventDefault();
      const target = event.target;
      const button = event.submitter;
      if (button) button.disabled = true;
      try {
        const sheet = await sheetOf(target.action, { method: "POST", body: new URLSearchParams(new FormData(target)) });
        const isSaved = !sheet.querySelector("[role=alert]");
        this.adopt(sheet);
        const next = this.element.querySelector(isSaved ? "[data-copy]" : "[role=alert]");
        next?.focus();
        say(isSaved ? (target.action.endsWith("/mail") ? "The link will be emailed." : "The settings were saved.") : "Nothing was changed.");
      } catch (trouble) {
        if (button) button.disabled = false;
        // The person may have logged in again in another tab; the form then works with the new token.
        await page.look();
        target.elements.csrf.value = page.token();
        const note = this.note(trouble.message);
        note.classList.add("failed");
        note.setAttribute("role", "alert");
        target.querySelector(".notice")?.remove();
        target.prepend(note);
      }
    }

    /** The address of the link, and what it allows, for the row of its only file. */
    get shared() {
      const address = this.count === 1 && this.element.querySelector("[data-copy]")?.dataset.copy;
      return address ? { address, page: `/links/${this.link}`, terms: this.element.querySelector(".share-it .detail")?.textContent ?? "" } : null;
    }
  }

  const drops = [];

  // Drops from before a reload that the server still waits for.
  (async () => {
    for (const [link, kept] of Object.entries(memory.all())) {
      if (kept.here !== page.here) continue;
      try {
        const sheet = await sheetOf(`/links/${link}/sheet`);
        if (sheet.dataset.folder === "") {
          memory.change((all) => delete all[link]);
          continue;
        }
        const drop = drops.find((other) => other.link === link) ?? new Drop(link);
        if (!drops.includes(drop)) drops.push(drop);
        drop.revive(kept);
        drop.adopt(sheet);
      } catch (trouble) {
        // Of another person who uses this browser.
        if (trouble.gone) memory.change((all) => delete all[link]);
      }
    }
  })();

  return {
    /** Returns the drop with this link, for an upload that an earlier page began. */
    of(link) {
      const known = drops.find((drop) => drop.link === link);
      const kept = memory.all()[link];
      if (known || !kept) return known ?? null;
      const drop = new Drop(link);
      drop.revive(kept);
      drops.push(drop);
      return drop;
    },

    /** Says which drop each of these files belongs to; those that belong to none become a new one. */
    sort(found) {
      const fresh = [];
      const sorted = [];
      for (const one of found) {
        const sign = mark(one.fingerprint);
        const drop = drops.find((drop) => drop.waits !== false && drop.items?.has(sign) && !drop.uploads.some((upload) => upload.fingerprint === one.fingerprint));
        if (drop) sorted.push({ ...one, drop, item: drop.items.get(sign) });
        else fresh.push(one);
      }
      const isGood = ({ place }) => place.split("/").every((name) => new TextEncoder().encode(name).length <= NAME_MAX);
      const good = fresh.filter(isGood);
      if (good.length > 0) {
        const drop = new Drop();
        drops.push(drop);
        good.forEach((one, item) => sorted.push({ ...one, drop, item }));
        drop.begin(good);
      }
      const refused = fresh.filter((one) => !isGood(one));
      return [...sorted, ...refused.map((one) => ({ ...one, refused: `The name “${shown(one.place.split("/").at(-1).slice(0, 40))}…” is too long: at most 255 bytes. Rename it, then drop it again.` }))];
    },
  };
};
