// Keeps a page current: every three seconds the same page is fetched and its <main> replaced, if it changed.
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
          document.querySelector("main").innerHTML = shown = fresh;
        }
      }
    } catch {
      // the server is away; the page stays as it is and asks again
    }
  }
  setTimeout(refresh, 3000);
}
setTimeout(refresh, 3000);
