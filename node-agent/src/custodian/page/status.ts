/** How the agent stands, for its custodian: what the page shows beside plans and messages. */
export interface AgentStatus {
  readonly study: string;
  /** host:port. */
  readonly coordinator: string;
  readonly connected: boolean;
  /** RFC 3339: since when it is connected, or not. Null before the first attempt ended. */
  readonly since: string | null;
  /** Of the last attempt that failed; null where none did since the agent started. */
  readonly failure: { readonly time: string; readonly code: string; readonly remedy: string | null } | null;
  /** RFC 3339: until when the agent's client certificate holds. */
  readonly certificateNotAfter: string;
  readonly agreement: AgreementStatus;
  readonly log: {
    /** Entries. */
    readonly size: number;
    /** Root of the Merkle tree over them, hex. */
    readonly root: string;
  };
  /** What runs, e.g. `agent` 0.1.0, `protocol` 2, `node` 24.21.0. */
  readonly versions: Readonly<Record<string, string>>;
}

export interface AgreementStatus {
  readonly name: string;
  /** Last day (UTC) on which anything may leave, `YYYY-MM-DD`; empty, as digest and text, where none can be used. */
  readonly until: string;
  /** SHA-256 of the file, hex. */
  readonly digest: string;
  /** What it allows, in plain language. */
  readonly lines: readonly string[];
  /** What is wrong with it, or what the agent could not do of it; empty where all is well. */
  readonly faults: readonly string[];
  /** The file as it is. */
  readonly text: string;
}
