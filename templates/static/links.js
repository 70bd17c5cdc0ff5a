// Lets people choose an expiry date in their own time zone, and copies links. Without this script, the date is
// in UTC.
(() => {
  "use strict";

  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "as set on this device";

  const two = (number) => String(number).padStart(2, "0");
  const local = (moment) =>
    `${String(moment.getFullYear()).padStart(4, "0")}-${two(moment.getMonth() + 1)}-${two(moment.getDate())}` +
    `T${two(moment.getHours())}:${two(moment.getMinutes())}`;

  const ends = document.getElementById("ends");
  const ahead = document.getElementById("ends_zone");
  const said = document.getElementById("ends-zone-name");
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

  for (const button of document.querySelectorAll("button[data-copy]")) {
    if (!navigator.clipboard) continue;
    button.hidden = false;
    const label = button.textContent;
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(button.dataset.copy);
        button.textContent = "Copied";
      } catch {
        button.textContent = "Copying isn’t allowed here";
      }
      setTimeout(() => { button.textContent = label; }, 3000);
    });
  }
})();
