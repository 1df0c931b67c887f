"use strict";
// Keeps the page up to date: gets it again and changes what differs, so that the focus, what
// is open, what is selected and the place on the page stay. Without it the page works, too.
(() => {
  const EVERY = 5000; // milliseconds from one answer to the next question
  const PATIENCE = 10000; // milliseconds that an answer may take
  const TYPING = 250; // milliseconds without a key until a filter counts
  const root = document.documentElement;
  const notice = document.getElementById("notice");
  const pause = document.getElementById("pause");
  let timer = 0;
  let typing = 0;
  let turn = 0; // of several questions under way the last one counts
  let paused = false;
  let shown = new Date(); // when what is on the page was got
  let lost = null; // since when there is no answer

  function become(from, to) {
    if (from.nodeName !== to.nodeName) {
      from.replaceWith(to);
    } else if (from.nodeType !== Node.ELEMENT_NODE) {
      if (from.data !== to.data) from.data = to.data;
    } else if (!from.isEqualNode(to)) {
      for (const { name } of [...from.attributes]) {
        if (!to.hasAttribute(name) && !(name === "open" && from.localName === "details"))
          from.removeAttribute(name);
      }
      for (const { name, value } of to.attributes) {
        if (from.getAttribute(name) !== value) from.setAttribute(name, value);
      }
      contain(from, to);
    }
  }

  function keyed(element) {
    return new Map([...element.children].flatMap((each) =>
      each.dataset.key === undefined ? [] : [[each.dataset.key, each]]));
  }

  function contain(from, to) {
    const wanted = keyed(to);
    const present = keyed(from);
    for (const [key, each] of present) if (!wanted.has(key)) each.remove();
    let place = from.firstChild;
    for (const next of [...to.childNodes]) {
      const key = next.dataset?.key;
      const match = key === undefined
        ? place?.dataset?.key === undefined ? place : null
        : present.get(key);
      present.delete(key);
      if (!match) {
        from.insertBefore(next, place);
      } else {
        if (match === place) place = place.nextSibling;
        else from.insertBefore(match, place);
        become(match, next);
      }
    }
    while (place) {
      const after = place.nextSibling;
      place.remove();
      place = after;
    }
  }

  function show(page) {
    if (page.documentElement.dataset.build !== root.dataset.build) {
      location.reload(); // another version: its style and its script are others, too
      return;
    }
    const focused = document.activeElement;
    document.title = page.title;
    for (const part of document.querySelectorAll("[data-live]")) {
      const news = page.getElementById(part.id);
      if (news) become(part, news);
    }
    if (focused !== document.activeElement && focused.isConnected)
      focused.focus({ preventScroll: true }); // a row that moved had lost it
    const form = document.getElementById("filter");
    if (!form.contains(document.activeElement)) form.reset(); // to what the address says
    shown = new Date();
    lost = null;
    notice.textContent = "";
    root.classList.remove("old");
  }

  function complain(why) {
    lost ??= new Date();
    const text = `The exporter cannot be reached since ${time(lost)}: ${why}. What is below is ` +
      `as of ${time(shown)}.`;
    if (notice.textContent !== text) notice.textContent = text;
    root.classList.add("old");
  }

  function time(date) { // as the page says it: in UTC, with another day's date
    const [day, clock] = date.toISOString().split(/[T.]/);
    return new Date().toISOString().startsWith(day) ? `${clock} UTC` : `${day} ${clock} UTC`;
  }

  async function get() {
    const answer = await fetch(location.href, {
      cache: "no-store",
      signal: AbortSignal.timeout(PATIENCE),
    }).catch((error) => {
      throw new Error(error.name === "TimeoutError" ? "no answer in time" : "no connection");
    });
    if (!answer.ok) throw new Error(`it answers ${answer.status}`);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (!page.getElementById("jobs")) throw new Error("something else answers in its place");
    return page;
  }

  async function refresh() {
    clearTimeout(timer);
    const mine = ++turn;
    try {
      const page = await get();
      if (mine === turn) show(page);
    } catch (error) {
      if (mine === turn) complain(error.message);
    }
    if (mine === turn) schedule();
  }

  function schedule() {
    clearTimeout(timer);
    if (!paused && !document.hidden) timer = setTimeout(refresh, EVERY);
  }

  function filter() {
    clearTimeout(typing);
    const given = [...new FormData(document.getElementById("filter"))];
    const words = new URLSearchParams(given.filter(([, value]) => value));
    history.replaceState(null, "", `?${words}`);
    refresh();
  }

  document.addEventListener("input", (event) => {
    clearTimeout(typing);
    if (event.target.form) typing = setTimeout(filter, TYPING);
  });
  document.addEventListener("submit", (event) => {
    event.preventDefault();
    filter();
  });
  document.addEventListener("click", (event) => {
    const link = event.target.closest("main a[href^='?']");
    const plain = !(event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey);
    if (!link || !plain) return;
    event.preventDefault();
    clearTimeout(typing);
    history.pushState(null, "", link.href);
    refresh().then(() => {
      if (link.rel) document.getElementById("jobs").scrollIntoView();
    });
  });
  document.addEventListener("mouseover", (event) => {
    const moment = event.target.closest("time");
    if (moment) moment.title = new Date(moment.dateTime).toLocaleString();
  });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) clearTimeout(timer);
    else if (!paused) refresh();
  });
  window.addEventListener("popstate", refresh);
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) refresh();
  });
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.textContent = paused ? "Resume updates" : "Pause updates";
    if (paused) clearTimeout(timer);
    else refresh();
  });
  pause.hidden = false;
  schedule();
})();
