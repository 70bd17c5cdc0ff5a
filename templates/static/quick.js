// Copies a link to a file of a list with one click: creates it with the person's usual terms, once for each row.
// Without this script the button isn't there; the one beside it leads to the form.
(() => {
  "use strict";

  /** The links that were made, by the address of their form. */
  const made = new Map();
  const main = document.querySelector("main");
  const note = document.createElement("p");
  note.className = "quick-note";
  note.setAttribute("role", "status");
  main.append(note);

  /** Names what each button is for; in the page itself, a thousand names more would weigh too much. */
  function label() {
    for (const button of main.querySelectorAll("button.quick")) {
      button.setAttribute("aria-label", `Copy link to ${button.closest("tr").querySelector(".label bdi").textContent}`);
    }
  }
  label();
  // The list is replaced when files arrive.
  new MutationObserver(label).observe(main, { childList: true });

  const read = async (answer) => new DOMParser().parseFromString(await answer.text(), "text/html");

  /** Sends the form as it is proposed. Returns the link's address, its page and its terms. */
  async function make(page) {
    const headers = { accept: "text/html" };
    const blank = await read(await fetch(page, { headers }));
    const form = blank.querySelector("form[action='/links']");
    const body = form && new URLSearchParams(new FormData(form));
    const answer = body && (await fetch("/links", { method: "POST", headers, body }));
    const html = answer ? await read(answer) : blank;
    const address = html.querySelector("[data-copy]")?.dataset.copy;
    if (address) return { address, page: answer.url, terms: form.querySelector(".usual").textContent };
    const isOut = html.querySelector("form[action='/login']");
    const why = html.querySelector(".notice.failed") ?? html.querySelector("main p");
    throw new Error(isOut ? "You are logged out. Log in in another tab, then try again here." : why?.textContent.trim());
  }

  /** Returns whether the browser allowed it. Safari copies only what it was promised in the moment of the click. */
  async function copy(link) {
    const text = link.then(({ address }) => new Blob([address], { type: "text/plain" }));
    try {
      await navigator.clipboard.write([new ClipboardItem({ "text/plain": text })]);
      return true;
    } catch {
      const { address } = await link;
      return navigator.clipboard ? navigator.clipboard.writeText(address).then(() => true, () => false) : false;
    }
  }

  const show = (...parts) => note.replaceChildren(...parts);
  const element = (name, text, more) => Object.assign(document.createElement(name), { textContent: text }, more);

  async function press(button) {
    const form = button.parentElement.querySelector("a").href;
    if (!made.has(form)) made.set(form, make(form));
    let isCopied;
    let link;
    try {
      isCopied = await copy(made.get(form));
      link = await made.get(form);
    } catch (error) {
      made.delete(form);
      return show(error instanceof TypeError ? "The connection was lost. Try again." : error.message || "The link was not created.");
    }
    const change = element("a", "Change", { href: link.page });
    if (!isCopied) return show("Your link: ", element("code", link.address, { dir: "ltr" }), ` ${link.terms} `, change);
    show(element("strong", "Link copied."), ` ${link.terms} `, change);
    const name = button.getAttribute("aria-label").replace(/^\w+/, "Copied");
    button.setAttribute("aria-label", name);
    button.textContent = "Copied";
    button.classList.add("done");
    setTimeout(() => {
      button.textContent = "Copy link";
      button.classList.remove("done");
      label();
    }, 3000);
  }

  document.addEventListener("click", ({ target }) => {
    const button = target.closest("button.quick");
    if (button) press(button);
    else if (!note.contains(target)) show();
  });
})();
