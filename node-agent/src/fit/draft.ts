/** What the site would answer, and what the gate must look at before it may. A draft cannot be sent. */
import type { SiteMessage } from '@concordat/proto/concordat/v1/site.ts';
import type { DisclosureFacts } from '@concordat/shared/disclosure/facts.ts';
import type { Code } from '@concordat/shared/plan/types.ts';

export type Payload = NonNullable<SiteMessage['payload']>;

/** What the rules look at; it never leaves. */
export type Evidence =
  | { readonly kind: 'none' }
  | { readonly kind: 'analysis-set'; readonly facts: DisclosureFacts }
  | { readonly kind: 'levels'; readonly variables: readonly LevelCounts[] };

export interface LevelCounts {
  readonly variable: string;
  readonly levels: readonly { readonly code: Code; readonly participants: number }[];
}

export interface Draft {
  readonly payload: Payload;
  readonly evidence: Evidence;
}
