// Uploads a file with tus-js-client, as a third-party page or program would. Its argument is JSON; it
// prints its progress and the result, line by line.
const order = JSON.parse(process.argv[2])
const fs = require('fs')
const tus = require(order.library)

const parts = order.parallel > 1
const upload = new tus.Upload(fs.createReadStream(order.file), {
  endpoint: order.endpoint,
  headers: { Cookie: order.cookie, 'X-CSRF-Token': order.csrf },
  metadata: { filename: order.name, folder: order.folder },
  uploadSize: parts ? null : fs.statSync(order.file).size,
  chunkSize: order.chunk,
  parallelUploads: order.parallel,
  retryDelays: Array(60).fill(250),
  onChunkComplete: (_, accepted) => console.log(`at ${accepted}`),
  onSuccess: () => console.log('done'),
  onError: (error) => {
    console.log(`failed: ${error}`)
    process.exit(1)
  },
})
upload.start()
