// Verifies a webhook with its official library. Its argument is JSON; it prints whether the signature is right.

const order = JSON.parse(process.argv[2]);
const { Webhook, WebhookVerificationError } = require(order.library);

try {
  new Webhook(order.secret).verify(order.body, order.headers);
  console.log("right");
} catch (error) {
  if (!(error instanceof WebhookVerificationError)) throw error;
  console.log("wrong:", error.message);
}
