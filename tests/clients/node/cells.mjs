// What the Node client programs of the matrix share: running the cells and reporting them on stdout as
//   CELL <operation> pass|fail|n/a [text]
// See tests/clients/README.md.
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'

export const BOOTSTRAP = process.env.BOOTSTRAP
export const VALUES = Array.from({ length: 50 }, (_, i) => `value ${i} `.repeat(20))
const CELL_SECONDS = 90

export const unique = kind => `matrix-${kind}-${randomUUID().slice(0, 8)}`

export const equal = (found, expected) => assert.deepEqual(found, expected)

/** Asks `condition` until it answers something true, and returns that. */
export async function until (condition, what, seconds = 40) {
  const deadline = Date.now() + seconds * 1000
  for (;;) {
    const value = await condition()
    if (value) return value
    assert(Date.now() < deadline, `not within ${seconds} s: ${what}`)
    await sleep(100)
  }
}

function report (operation, verdict, text = '') {
  console.log('CELL', operation, verdict, String(text).replace(/\s+/g, ' ').slice(0, 400))
}

export function notApplicable (reason, ...operations) {
  for (const operation of operations) report(operation, 'n/a', reason)
}

/** Runs the cells, an object from operation to async function, one after the other. */
export async function run (cells) {
  const only = process.argv.slice(2)
  let failed = 0
  for (const [operation, cell] of Object.entries(cells)) {
    if (only.length > 0 && !only.includes(operation)) continue
    try {
      const tooSlow = sleep(CELL_SECONDS * 1000, null, { ref: false }).then(() => {
        throw new Error(`the cell took more than ${CELL_SECONDS} s`)
      })
      report(operation, 'pass', (await Promise.race([cell(), tooSlow])) ?? '')
    } catch (error) {
      console.error(error)
      report(operation, 'fail', error)
      failed += 1
    }
  }
  // Clients keep timers and sockets after a failure.
  process.exit(failed > 0 ? 1 : 0)
}
