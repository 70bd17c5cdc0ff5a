// A file that is dropped where none is taken would make the browser leave the page and open the file.
// Pages that do take files put their own word after this one.
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
