// Reads /metrics again and again while the page is looked at.

import { useEffect, useState } from "../../components/html.js";
import { getJson, getPage } from "../../api/client.js";
import { parse, perSecond } from "../../model/metrics_text.js";

const EVERY_MILLIS = 3000;
// The second reading comes soon: rates need two.
const FIRST_MILLIS = 1000;
const KEPT = 100;

export function useReadings() {
  const [state, setState] = useState({ history: [] });
  useEffect(() => {
    let isOpen = true;
    let timer = 0;
    let before;
    let pause = FIRST_MILLIS;
    const read = async () => {
      if (!document.hidden) {
        try {
          const now = { at: Date.now(), samples: parse(await getPage("metrics")) };
          if (!isOpen) return;
          const last = before;
          setState((old) => ({ now, before: last ?? old.before, history: last === undefined ? old.history : [...old.history, point(last, now)].slice(-KEPT), error: undefined }));
          before = now;
        } catch (error) {
          if (isOpen) setState((old) => ({ ...old, error }));
        }
      }
      timer = setTimeout(read, pause);
      pause = EVERY_MILLIS;
    };
    read();
    return () => {
      isOpen = false;
      clearTimeout(timer);
    };
  }, []);
  return state;
}

const point = (before, now) => ({ at: now.at / 1000, spans: perSecond(before, now, "tempo_distributor_spans_received_total") ?? 0, bytes: perSecond(before, now, "tempo_distributor_bytes_received_total") ?? 0 });

// Pages that do not change while the server runs.
export function useAbout() {
  const [about, setAbout] = useState({});
  useEffect(() => {
    const load = (name, promise) => promise.then((value) => setAbout((old) => ({ ...old, [name]: value })), () => {});
    load("build", getJson("status/buildinfo"));
    load("config", getPage("status/config"));
    load("services", getPage("status/services"));
    load("ready", getPage("ready").then(() => true, () => false));
  }, []);
  return about;
}
