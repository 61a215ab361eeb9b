// The page that shows the API description, in a real browser: it renders every operation, calls one, and fetches from the
// gateway only.
//
// Reads GATEWAY_URL, TAKEDOWN_BROWSER (the browser's program), NODE_PATH (its packages).
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { test } from 'node:test';

const require = createRequire(import.meta.url);
const { chromium } = require('playwright-core');

const base = process.env.GATEWAY_URL.replace(/\/$/, '');

test('the API description is rendered, can be tried, and is fetched from the gateway only', async () => {
  const browser = await chromium.launch({ executablePath: process.env.TAKEDOWN_BROWSER, args: ['--no-sandbox'] });
  try {
    const page = await browser.newPage();
    page.setDefaultTimeout(20_000);
    const faults = [];
    page.on('request', (request) => {
      const url = new URL(request.url());
      if (url.protocol !== 'data:' && url.origin !== new URL(base).origin) faults.push(`fetched ${url.origin}`);
    });
    page.on('console', (message) => {
      if (message.type() === 'error') faults.push(message.text());
    });
    page.on('pageerror', (error) => faults.push(String(error)));

    await page.goto(`${base}/docs`);
    await page.waitForSelector('.opblock');
    const document = await (await fetch(`${base}/openapi.json`)).json();
    const operations = Object.values(document.paths).flatMap((item) => Object.keys(item)).length;
    assert.equal(await page.locator('.opblock').count(), operations);

    const health = page.locator('#operations-operation-alive');
    await health.locator('.opblock-summary-control').focus();
    await page.keyboard.press('Enter');
    await health.getByRole('button', { name: 'Execute' }).click();
    await health.locator('.live-responses-table .response-col_status', { hasText: '200' }).waitFor();
    assert.deepEqual(faults, []);
  } finally {
    await browser.close();
  }
});
