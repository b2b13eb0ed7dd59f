// Keeps a page current: every three seconds the same page is fetched and its <main> replaced, if it changed.
// What the reader has scrolled stays where it is.
"use strict";
let shown = document.querySelector("main").innerHTML;
async function refresh() {
  if (!document.hidden && !document.querySelector("main :focus")) {
    try {
      const answer = await fetch(location.href, { headers: { "x-live": "1" } });
      if (answer.ok) {
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        const fresh = page.querySelector("main").innerHTML;
        if (fresh !== shown) {
          const scrolled = () => [...document.querySelectorAll("main .story, main .scroll")];
          const places = scrolled().map((each) => [each.scrollLeft, each.scrollTop]);
          document.querySelector("main").innerHTML = shown = fresh;
          scrolled().forEach((each, n) => each.scrollTo(...(places[n] ?? [0, 0])));
          document.querySelector("footer").innerHTML = page.querySelector("footer").innerHTML;
        }
      }
    } catch {
      // the server is away; the page stays as it is and asks again
    }
  }
  setTimeout(refresh, 3000);
}
setTimeout(refresh, 3000);
