import { env } from "cloudflare:workers";
import { Hono } from "hono";
import { bearerAuth } from "hono/bearer-auth";
import { bodyLimit } from "hono/body-limit";
import { cors } from "hono/cors";
import { HTTPException } from "hono/http-exception";
import { attention } from "./attention.ts";
import { embeddings } from "./embeddings.ts";
import { LIMITS, Refusal } from "./input.ts";
import { search } from "./search.ts";

export { DocumentIndex } from "./documents.ts";

const app = new Hono();

/** Every error has this body, OpenAI's. */
const error = (type: string, message: string, param: string | null = null) => ({ error: { type, message, param } });

app.onError((e, c) => {
  if (e instanceof Refusal) return c.json(error(e.type, e.message, e.param), e.status);
  if (e instanceof HTTPException) return e.getResponse();
  console.error(e); // for the log: a client is told nothing of what is inside
  return c.json(error("server_error", "internal error"), 500);
});
app.notFound((c) => c.json(error("not_found", `there is no ${c.req.method} ${c.req.path}`), 404));

app.use(cors({ origin: env.CORS_ORIGIN?.split(",") ?? "*", maxAge: 600 }));
app.get("/health", (c) => c.json({ status: "ok" }));
if (env.API_TOKEN) {
  const message = error("authentication_error", "send a valid token: authorization: Bearer …");
  const refused = { message };
  app.use(
    bearerAuth({
      token: env.API_TOKEN, // compared in constant time
      noAuthenticationHeader: refused,
      invalidAuthenticationHeader: refused,
      invalidToken: refused,
    }),
  );
}
app.use(
  bodyLimit({
    maxSize: LIMITS.body,
    onError: () => {
      throw new Refusal(413, "request_too_large", `the body has more than ${LIMITS.body} bytes`);
    },
  }),
);
app.route("/", embeddings);
app.route("/", search);
app.route("/attention", attention);

export default app;
