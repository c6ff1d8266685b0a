// The page's end of the trace worker.

let workers = 0;

export class TraceClient {
  constructor() {
    this.worker = new Worker(new URL("../worker/trace_worker.js", import.meta.url), { type: "module", name: `trace-${workers++}` });
    this.waiting = new Map();
    this.numRequests = 0;
    this.worker.onmessage = ({ data }) => this.settle(data);
    this.worker.onerror = () => {
      for (const request of [...this.waiting.keys()]) this.settle({ request, error: "the part of the page that reads traces did not start" });
    };
  }

  // Hands the bytes over; they cannot be used here afterwards.
  open(buffer) {
    return this.ask("open", { buffer }, [buffer]);
  }

  ask(call, parameters, transfer = []) {
    const request = this.numRequests++;
    return new Promise((resolve, reject) => {
      this.waiting.set(request, { resolve, reject });
      this.worker.postMessage({ call, request, ...parameters }, transfer);
    });
  }

  settle({ request, result, error }) {
    const waiting = this.waiting.get(request);
    this.waiting.delete(request);
    if (error !== undefined) waiting?.reject(new Error(error));
    else waiting?.resolve(result);
  }

  close() {
    this.worker.terminate();
  }
}
