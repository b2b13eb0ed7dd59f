// Keeps a page current: every three seconds the same page is fetched, and those parts of its <main> that changed
// are replaced. What the reader has scrolled stays where it is, and what is marked or in focus stays as it is.
"use strict";
let shown = parts(document).map((each) => each.outerHTML);
function parts(page) {
  return [...page.querySelector("main").children];
}
function isInUse(part) {
  const marked = getSelection();
  return part.querySelector(":focus") || (!marked.isCollapsed && marked.containsNode(part, true));
}
function replace(part, fresh) {
  const scrolled = (one) => [...one.querySelectorAll(".story, .scroll")];
  const places = scrolled(part).map((each) => [each.scrollLeft, each.scrollTop]);
  part.replaceWith(fresh);
  scrolled(fresh).forEach((each, n) => each.scrollTo(...(places[n] ?? [0, 0])));
}
function show(page) {
  const fresh = parts(page), there = parts(document), texts = fresh.map((each) => each.outerHTML);
  if (fresh.length !== there.length) {
    if (there.some(isInUse)) return;
    document.querySelector("main").replaceChildren(...fresh);
    shown = texts;
  } else {
    fresh.forEach((each, n) => {
      if (texts[n] === shown[n] || isInUse(there[n])) return;
      replace(there[n], each);
      shown[n] = texts[n];
    });
  }
  document.querySelector("footer").innerHTML = page.querySelector("footer").innerHTML;
}
async function refresh() {
  if (!document.hidden) {
    try {
      const answer = await fetch(location.href, { headers: { "x-live": "1" } });
      if (answer.ok) show(new DOMParser().parseFromString(await answer.text(), "text/html"));
    } catch {
      // the server is away; the page stays as it is and asks again
    }
  }
  setTimeout(refresh, 3000);
}
setTimeout(refresh, 3000);
