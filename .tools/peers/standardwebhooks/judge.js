// Judges deliveries with the published Node library of Standard Webhooks. It
// reads a JSON list of {"secret", "headers", "body"} (the body in base64), and
// prints for each, on a line, "accepted" or "refused: " and the library's words.
'use strict'
const { readFileSync } = require('node:fs')
const { Webhook } = require('standardwebhooks')

for (const { secret, headers, body } of JSON.parse(readFileSync(0))) {
  try {
    new Webhook(secret).verify(Buffer.from(body, 'base64'), headers)
    console.log('accepted')
  } catch (error) {
    console.log('refused: ' + error.message)
  }
}
