// A person at a browser: a real Chromium, headless, told by lines of JSON what to do.
//
//     {"open": "http://…"}  {"fill": "#prompt", "with": "…"}  {"click": "#stop"}
//     {"see": "#answer", "text": "…"}      waits until the element's text contains it; without `text`, reads it as it is
//
// Each line is answered by one: {"text": …}, the element's text where there was one to see.

import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

// Chromium's own sandbox needs privileges that a container withholds; the only page it opens is this repository's.
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", chromiumSandbox: false });
const page = await browser.newPage();

for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify({ text: await obey(JSON.parse(line)) }));
}
await browser.close();

async function obey(order) {
  if (order.open) await page.goto(order.open);
  if (order.fill) await page.fill(order.fill, order.with);
  if (order.click) await page.click(order.click);
  if (order.see) {
    const hasText = ([element, text]) => document.querySelector(element).textContent.includes(text);
    await page.waitForFunction(hasText, [order.see, order.text ?? ""]);
    return page.textContent(order.see);
  }
}
