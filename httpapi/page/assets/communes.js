// Completes the search of a commune while it is typed (ARIA combobox with a list).
// Without it the form works as it is.
(() => {
  const pause = 200; // ms without a key before the hub is asked
  for (const box of document.querySelectorAll("[data-combobox]")) complete(box);

  function complete(box) {
    const input = box.querySelector("input");
    const list = document.createElement("ul");
    const status = document.createElement("p");
    list.id = input.id + "-liste";
    list.className = "fr-combobox__list";
    list.hidden = true;
    list.setAttribute("role", "listbox");
    list.setAttribute("aria-label", "Collectivités proposées");
    status.className = "fr-sr-only";
    status.setAttribute("role", "status");
    box.append(list, status);
    input.setAttribute("role", "combobox");
    input.setAttribute("aria-autocomplete", "list");
    input.setAttribute("aria-expanded", "false");
    input.setAttribute("aria-controls", list.id);

    let timer, asking, at = -1, leaving = false;

    input.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(ask, pause);
    });
    input.addEventListener("keydown", (e) => {
      const options = list.children;
      switch (e.key) {
        case "ArrowDown":
        case "ArrowUp":
          e.preventDefault();
          if (list.hidden) {
            ask();
          } else if (options.length > 0) {
            clearTimeout(timer); // what she walks through stays as it is
            asking?.abort();
            const step = e.key === "ArrowDown" ? 1 : -1;
            choose(at < 0 && step < 0 ? options.length - 1 : (at + step + options.length) % options.length);
          }
          break;
        case "Enter":
          if (!list.hidden && at >= 0) {
            e.preventDefault();
            leave(options[at]);
          }
          break;
        case "Escape":
          if (!list.hidden) {
            e.preventDefault();
            close();
          }
          break;
        case "Tab":
          close();
      }
    });
    input.addEventListener("blur", () => close());
    // The press would take the focus away, and close the list before the click.
    list.addEventListener("mousedown", (e) => e.preventDefault());
    list.addEventListener("click", (e) => {
      const option = e.target.closest("[role=option]");
      if (option) leave(option);
    });
    // The key that chooses would also send the form, where it comes as two events.
    input.form.addEventListener("submit", (e) => {
      if (leaving) e.preventDefault();
    });
    window.addEventListener("pageshow", () => { leaving = false; });

    function leave(option) {
      leaving = true;
      location.assign(option.dataset.path);
    }

    async function ask() {
      asking?.abort();
      const text = input.value.trim();
      if (text === "") return close();
      const mine = (asking = new AbortController());
      const query = new URLSearchParams({ q: text });
      const departement = input.form.elements.departement?.value;
      if (departement) query.set("departement", departement);
      try {
        const answer = await fetch(box.dataset.source + "?" + query, { signal: mine.signal, headers: { Accept: "application/json" } });
        if (!answer.ok) return close();
        show(await answer.json());
      } catch (fault) {
        if (fault.name !== "AbortError") close(); // the form still works
      }
    }

    function show(found) {
      if (document.activeElement !== input) return close();
      at = -1;
      input.removeAttribute("aria-activedescendant");
      list.replaceChildren(...found.map((f, i) => {
        const option = document.createElement("li");
        const detail = document.createElement("span");
        option.id = list.id + "-" + i;
        option.className = "fr-combobox__option";
        option.setAttribute("role", "option");
        option.setAttribute("aria-selected", "false");
        option.dataset.path = f.path;
        detail.className = "fr-combobox__detail";
        detail.textContent = f.detail;
        option.append(f.name, detail);
        return option;
      }));
      open(found.length > 0);
      status.textContent = found.length === 0 ? "Aucune collectivité proposée." : found.length === 1 ? "Une collectivité proposée." : found.length + " collectivités proposées.";
    }

    function choose(i) {
      list.children[at]?.setAttribute("aria-selected", "false");
      at = i;
      const option = list.children[at];
      option.setAttribute("aria-selected", "true");
      option.scrollIntoView({ block: "nearest" });
      input.setAttribute("aria-activedescendant", option.id);
    }

    function open(yes) {
      list.hidden = !yes;
      input.setAttribute("aria-expanded", String(yes));
    }

    function close() {
      asking?.abort();
      at = -1;
      input.removeAttribute("aria-activedescendant");
      open(false);
    }
  }
})();
