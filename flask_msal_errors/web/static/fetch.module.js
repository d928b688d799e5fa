// The same as a module: import {msalFetch, SignInFailed} from "/auth/static/fetch.module.js"
import "./fetch.js";

export const {msalFetch} = globalThis;
export const {SignInFailed, words} = msalFetch;
