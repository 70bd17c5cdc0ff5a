// Without this, a file dropped on a page that accepts none makes the browser leave the page and open the file.
// Pages that accept files handle the event after this script.
(() => {
  "use strict";

  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  document.addEventListener("dragover", (event) => {
    if (!hasFiles(event) || event.defaultPrevented) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "none";
  });
  document.addEventListener("drop", (event) => {
    if (hasFiles(event)) event.preventDefault();
  });
})();
