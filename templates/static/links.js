// Lets people choose an expiry date in their own time zone, and copies links. Without this script, the date is
// in UTC. `prepareLinks` does the same for a part that is added later.
(() => {
  "use strict";

  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "as set on this device";
  const two = (number) => String(number).padStart(2, "0");
  const local = (moment) =>
    `${String(moment.getFullYear()).padStart(4, "0")}-${two(moment.getMonth() + 1)}-${two(moment.getDate())}` +
    `T${two(moment.getHours())}:${two(moment.getMinutes())}`;

  async function copy(text) {
    if (navigator.clipboard) return navigator.clipboard.writeText(text);
    // Where the page has no secure address, only what is selected can be copied.
    const field = [...document.querySelectorAll("input[readonly]")].find((input) => input.value === text);
    field?.select();
    if (!field || !document.execCommand("copy")) throw new Error("not allowed");
  }

  globalThis.prepareLinks = (root) => {
    const ends = root.querySelector("#ends");
    const ahead = root.querySelector("#ends_zone");
    const said = root.querySelector("#ends-zone-name");
    if (ends && ahead && said) {
      // A time without a zone is in UTC.
      if (ends.value && ahead.value === "") {
        const moment = new Date(`${ends.value}Z`);
        if (!Number.isNaN(moment.getTime())) ends.value = local(moment);
      }
      const tell = () => {
        const moment = new Date(ends.value);
        ahead.value = Number.isNaN(moment.getTime()) ? "" : String(-moment.getTimezoneOffset());
      };
      said.textContent = `your time zone, ${zone}`;
      ends.addEventListener("input", tell);
      ends.addEventListener("change", tell);
      tell();
    }

    // The date only counts, and is only shown, where it is chosen.
    const expires = root.querySelector("#expires");
    const date = root.querySelector("#ends-field");
    if (expires && date) {
      const toggle = () => { date.hidden = expires.value !== "date"; };
      expires.addEventListener("change", toggle);
      toggle();
    }

    for (const button of root.querySelectorAll("button[data-copy]")) {
      if (!navigator.clipboard && !root.querySelector("input[readonly]")) continue;
      button.hidden = false;
      const label = button.textContent;
      button.addEventListener("click", async () => {
        try {
          await copy(button.dataset.copy);
          button.textContent = "Copied";
        } catch {
          button.textContent = "Copying isn’t allowed here";
        }
        setTimeout(() => { button.textContent = label; }, 3000);
      });
    }
  };
  globalThis.prepareLinks(document);
})();
