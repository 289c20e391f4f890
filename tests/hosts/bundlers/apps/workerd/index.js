import { pipeline } from "wattention";

export default {
  async fetch(request) {
    const { searchParams } = new URL(request.url);
    const deterministic = searchParams.has("deterministic");
    const extract = await pipeline("feature-extraction", searchParams.get("model"), { deterministic });
    const vectors = await extract(["a cat sleeps on the sofa", "How is memory planned?"]);
    return Response.json([...vectors.data]);
  },
};
