export async function run() {
  return { checks: 0, figures: {} };
}
