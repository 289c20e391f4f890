import { open, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { InputError } from "../../errors.ts";

/** Whether a process of that number runs. */
function runs(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/**
 * Keeps other processes out of a folder, by a file with this one's number: Node has no other lock. That of a process that is gone counts for
 * nothing, nor does one with our own number, which is that of the one before us in a container.
 * @throws InputError if another process has it
 */
export async function lock(folder: string): Promise<() => Promise<void>> {
  const file = join(folder, "lock");
  for (let tries = 0; tries < 3; tries++) {
    try {
      const handle = await open(file, "wx");
      await handle.writeFile(`${process.pid}\n`);
      await handle.close();
      return () => rm(file, { force: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
    const pid = Number.parseInt(await readFile(file, "utf8").catch(() => ""), 10);
    if (pid && pid !== process.pid && runs(pid)) throw new InputError(`${folder} is in use by process ${pid}`);
    await rm(file, { force: true });
  }
  throw new InputError(`${folder} is in use`);
}
