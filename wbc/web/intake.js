/** File input: dropped, chosen or pasted files, and folders with their subfolders. */

const IMAGE_NAME = /\.(jpe?g|png|bmp|tiff?|webp)$/i;

/**
 * Call `take(files, skipped)` for all input. A file chosen individually is always sent, so that
 * the server reports its error; from a folder only images are taken, and the others are counted.
 */
export function openIntake({ zone, fileInput, folderInput, take }) {
  fileInput.addEventListener("change", () => {
    take([...fileInput.files], 0);
    fileInput.value = "";
  });
  folderInput.addEventListener("change", () => {
    takeImages([...folderInput.files], take);
    folderInput.value = "";
  });
  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length) take(files, 0);
  });
  listenForDrops(zone, take);
}

function takeImages(files, take) {
  const images = files.filter((file) => IMAGE_NAME.test(file.name) && !file.name.startsWith("."));
  take(images, files.length - images.length);
}

function listenForDrops(zone, take) {
  // The whole page accepts drops; otherwise the browser would open the file and lose the session.
  const over = (isOver) => document.body.classList.toggle("is-over", isOver);
  const holdsFiles = (event) => event.dataTransfer?.types.includes("Files");
  document.addEventListener("dragover", (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
    over(true);
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) over(false);
  });
  document.addEventListener("drop", async (event) => {
    over(false);
    if (!holdsFiles(event)) return;
    event.preventDefault();
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.() ?? null);
    const files = [...event.dataTransfer.files];
    const folders = entries.filter((entry) => entry?.isDirectory);
    if (!folders.length) return take(files, 0);
    const inside = (await Promise.all(folders.map(filesIn))).flat();
    const loose = files.filter((_, index) => !entries[index]?.isDirectory);
    return takeImages([...loose, ...inside], take);
  });
  zone.addEventListener("click", (event) => {
    if (event.target === zone) zone.querySelector("input[type=file]").click();
  });
}

/** List all files below a folder with their relative paths. */
async function filesIn(folder) {
  const reader = folder.createReader();
  const files = [];
  for (;;) {
    // Each call returns at most 100 entries, and an empty list at the end.
    const entries = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!entries.length) return files;
    for (const entry of entries) {
      if (entry.isDirectory) files.push(...(await filesIn(entry)));
      else files.push(await fileOf(entry));
    }
  }
}

async function fileOf(entry) {
  const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
  file.relativePath = entry.fullPath.replace(/^\//, "");
  return file;
}
