const deterministic = location.search === "?deterministic";
await navigator.serviceWorker.register("./sw.js", { type: "module" });
const { active } = await navigator.serviceWorker.ready;
const { port1, port2 } = new MessageChannel();
port1.onmessage = ({ data }) => console.log(JSON.stringify(data));
active.postMessage({ texts: ["a cat sleeps on the sofa", "How is memory planned?"], options: { deterministic } }, [port2]);
