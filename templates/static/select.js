// Keeps what is selected in a list over sorting, searching and paging, and has the list's keyboard shortcuts.
// Without this script the form of the list carries the selection itself, in its address.
(() => {
  "use strict";

  const form = document.getElementById("select");
  const main = document.querySelector("main");
  if (!form || !main) return;

  const KEY = "oncelink-selection";
  const OFF = "oncelink-shortcuts-off";
  const NAMES = ["file", "file_encoded"];
  // What is selected stays so within one list: a folder, or a search that starts in it.
  const list = form.getAttribute("action");

  /** What is selected: the fields of the form, as `name=value`. */
  const selected = new Set();
  /** Whether everything on all pages is selected, whatever is in `selected`. */
  let everything = false;
  /** The checkbox from which Shift selects. */
  let anchor = null;

  const field = (input) => `${input.name}=${input.value}`;
  const bar = () => main.querySelector(".selection");
  const boxes = () => [...main.querySelectorAll("input.pick")];
  const number = new Intl.NumberFormat("en");

  /** The browser may refuse to store anything; then the selection lasts as long as the page. */
  function stored(storage, key, value) {
    try {
      if (value === null) window[storage].removeItem(key);
      else if (value !== undefined) window[storage].setItem(key, value);
      return window[storage].getItem(key);
    } catch {
      return null;
    }
  }

  /** `used` says that an action was pressed: when that led elsewhere, the selection is over. */
  function store(used) {
    const nothing = selected.size === 0 && !everything;
    stored("sessionStorage", KEY, nothing ? null : JSON.stringify({ list, used, everything, fields: [...selected] }));
  }

  function kept() {
    try {
      const read = JSON.parse(stored("sessionStorage", KEY));
      return read?.list === list ? read : null;
    } catch {
      // Not ours; start with nothing.
      return null;
    }
  }

  function add(state) {
    everything = state?.everything === true;
    for (const one of state?.fields ?? []) selected.add(one);
  }

  function restore() {
    const state = kept();
    const cameBack = performance.getEntriesByType("navigation")[0]?.type === "back_forward";
    const failed = main.querySelector(":scope > .notice.failed");
    if (!state?.used || cameBack || failed || location.hash === "#selection") add(state);
    // What the address selected; from now on it is kept here.
    for (const input of form.querySelectorAll("[data-elsewhere]")) {
      selected.add(field(input));
      input.remove();
    }
    form.elements.all?.remove?.();
    for (const box of boxes()) {
      if (box.defaultChecked && box.disabled) everything = true;
      else if (box.defaultChecked) selected.add(field(box));
    }
    const address = new URL(location.href);
    for (const name of [...NAMES, "all", "ticks", "from"]) address.searchParams.delete(name);
    if (address.hash === "#selection") address.hash = "";
    if (address.href !== location.href) history.replaceState(history.state, "", address);
  }

  /** Forgets what was renamed or deleted since, where the page shows the whole folder. */
  function prune() {
    const { folder, all, total } = bar()?.dataset ?? {};
    const shown = new Set(boxes().map(field));
    if (folder === undefined || Number(total) !== shown.size) return;
    for (const one of selected) {
      const [, name, path] = /^([^=]*)=(.*)$/s.exec(one) ?? [];
      const parent = path?.slice(0, path.lastIndexOf("/"));
      if (parent === (name === "file" ? folder : all) && !shown.has(one)) selected.delete(one);
    }
  }

  function show() {
    const place = bar();
    if (!place) return;
    const shown = boxes();
    for (const box of shown) {
      box.disabled = false;
      box.checked = everything || selected.has(field(box));
    }
    const total = Number(place.dataset.total);
    const count = everything ? total : selected.size;
    place.hidden = count === 0 && shown.length === 0;
    const words = count === 0 ? "Nothing selected" : `${number.format(count)} selected`;
    const said = place.querySelector(".count");
    if (said.textContent !== words) said.textContent = words;
    for (const button of place.querySelectorAll(".deeds button, [value=none]")) button.disabled = count === 0;
    const all = place.querySelector("[name=ticks]");
    const whole = shown.length > 0 && shown.every((box) => box.checked);
    const more = whole && !everything && place.dataset.all !== undefined && total > shown.length;
    all.value = more ? "all" : "page";
    all.textContent = more ? `Select all ${number.format(total)}` : "Select all";
    all.disabled = shown.length === 0 || (whole && !more);
    const help = document.getElementById("shortcuts");
    if (help) {
      help.hidden = shown.length === 0;
      document.getElementById("shortcuts-on").checked = stored("localStorage", OFF) === null;
    }
  }

  function changed() {
    store(false);
    show();
  }

  function select(box, on) {
    if (on) selected.add(field(box));
    else selected.delete(field(box));
  }

  function selectPage() {
    for (const box of boxes()) select(box, true);
    changed();
  }

  function selectNone() {
    selected.clear();
    everything = false;
    changed();
  }

  // A click on the space around a checkbox becomes a second click, on the checkbox, without its keys.
  let shift = false;
  main.addEventListener("mousedown", (event) => {
    // Otherwise Shift would select the text in between.
    if (event.shiftKey && event.target.closest?.(".tick")) event.preventDefault();
  });
  main.addEventListener("click", (event) => {
    const target = event.target;
    if (target.id === "shortcuts-on") {
      stored("localStorage", OFF, target.checked ? null : "yes");
      return;
    }
    const button = target.closest?.(".selection [name=ticks]");
    if (button) {
      event.preventDefault();
      if (button.value === "none") selectNone();
      else if (button.value === "page") selectPage();
      else {
        everything = true;
        changed();
      }
      return;
    }
    if (!target.closest?.(".tick")) return;
    if (!target.matches("input.pick")) {
      shift = event.shiftKey;
      return;
    }
    const shown = boxes();
    if (everything) {
      // Without one of them it is no longer everything: what is left is this page.
      everything = false;
      for (const box of shown) select(box, box.checked);
    }
    const here = shown.indexOf(target);
    const there = anchor === null ? -1 : shown.findIndex((box) => field(box) === anchor);
    const range = (event.shiftKey || shift) && there >= 0;
    const from = range ? Math.min(here, there) : here;
    const to = range ? Math.max(here, there) : here;
    for (const box of shown.slice(from, to + 1)) select(box, target.checked);
    anchor = field(target);
    shift = false;
    changed();
  });

  let acts = false;
  form.addEventListener("submit", (event) => {
    acts = event.submitter?.formMethod === "post";
  });
  form.addEventListener("formdata", ({ formData }) => {
    for (const name of [...NAMES, "all"]) formData.delete(name);
    if (acts) {
      if (everything) formData.set("all", bar().dataset.all);
      else for (const one of selected) formData.append(one.slice(0, one.indexOf("=")), one.slice(one.indexOf("=") + 1));
      store(true);
      return;
    }
    formData.delete("from");
    if (formData.has("sort") || formData.get("sorted") === "name-asc") formData.delete("sorted");
    if (formData.get("q") === "") formData.delete("q");
  });

  function move(step) {
    const shown = boxes();
    const row = document.activeElement?.closest?.(".listing tbody tr");
    const at = row ? shown.findIndex((box) => row.contains(box)) : -1;
    const next = shown[at < 0 ? 0 : Math.min(Math.max(at + step, 0), shown.length - 1)];
    next?.focus();
    next?.closest("tr").scrollIntoView({ block: "nearest" });
  }

  const KEYS = {
    "/": () => {
      const search = document.getElementById("q");
      search?.focus();
      search?.select();
    },
    a: selectPage,
    j: () => move(1),
    k: () => move(-1),
    Escape: () => {
      if (selected.size === 0 && !everything) return false;
      selectNone();
    },
    Delete: () => bar()?.querySelector(".deeds .danger:enabled")?.click(),
  };
  const TYPING = "textarea, select, input:not([type=checkbox]), [contenteditable], [role=textbox], [role=application], dialog";

  document.addEventListener("keydown", (event) => {
    const other = event.ctrlKey || event.metaKey || event.altKey || event.shiftKey && event.key !== "/";
    if (other || event.defaultPrevented || event.isComposing || event.repeat && event.key === "Delete") return;
    if (event.target.closest?.(TYPING) || !bar() || stored("localStorage", OFF) !== null) return;
    const act = Object.hasOwn(KEYS, event.key) ? KEYS[event.key] : null;
    if (!act) return;
    if (act() !== false) event.preventDefault();
  });

  restore();
  prune();
  changed();
  // After Back the page may come from the browser's memory, as it was left.
  window.addEventListener("pageshow", (event) => {
    if (!event.persisted) return;
    selected.clear();
    add(kept());
    changed();
  });
  // A script for uploads replaces the list when there is something new.
  new MutationObserver(() => {
    prune();
    show();
  }).observe(main, { childList: true });
})();
